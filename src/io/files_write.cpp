// Writing of files.h: what is half written never stands under the target's name.
#include "io/files_write.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/progress.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// A stream buffer on a file descriptor that throws IoError as soon as the system refuses a write.
class DescriptorBuffer : public std::streambuf {
 public:
  DescriptorBuffer(int fd, const Path& target)
      : fd_(fd), target_(target), buffer_(size_t{1} << 18) {
    setp(buffer_.data(), buffer_.data() + buffer_.size());
  }

  void flush() {
    write_all(pbase(), static_cast<size_t>(pptr() - pbase()));
    setp(buffer_.data(), buffer_.data() + buffer_.size());
  }
  uint64_t written() const { return written_; }

 protected:
  int_type overflow(int_type c) override {
    flush();
    if (!traits_type::eq_int_type(c, traits_type::eof())) sputc(traits_type::to_char_type(c));
    return traits_type::not_eof(c);
  }
  std::streamsize xsputn(const char* data, std::streamsize size) override {
    if (size <= 0) return 0;  // memcpy may not be given the null pointer of an empty span
    if (size < epptr() - pptr()) {
      std::memcpy(pptr(), data, static_cast<size_t>(size));
      pbump(static_cast<int>(size));
    } else {
      flush();
      write_all(data, static_cast<size_t>(size));
    }
    return size;
  }
  int sync() override {
    flush();
    return 0;
  }

 private:
  void write_all(const char* data, size_t size) {
    while (size > 0) {
      const ssize_t done = ::write(fd_, data, size);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) throw_write_error(target_, "writing", errno, written_);
      data += done;
      size -= static_cast<size_t>(done);
      written_ += static_cast<uint64_t>(done);
    }
  }

  int fd_;
  const Path& target_;
  std::vector<char> buffer_;
  uint64_t written_ = 0;
};

// Calls `write`, and returns how many bytes it wrote.
uint64_t write_through(int fd, const Path& target,
                       const std::function<void(std::ostream&)>& write) {
  DescriptorBuffer buffer(fd, target);
  std::ostream stream(&buffer);
  stream.exceptions(std::ios::badbit);  // lets the buffer's IoError out
  write(stream);
  if (!stream) throw IoError(str(target.string(), ": what was to be written could not be made."));
  buffer.flush();
  return buffer.written();
}

void put(const Path& made, const Path& target) {
  if (::rename(made.c_str(), target.c_str()) != 0) throw_write_error(target, "renaming", errno);
}

// False where the name is taken.
bool put_if_free(const Path& made, const Path& target) {
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0)
    return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS) throw_write_error(target, "renaming", errno);
  // A file system that cannot (NFS, FAT): the name is taken by an empty file, which is ours to
  // replace.
  Descriptor file(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.get() < 0 && errno == EEXIST) return false;
  if (file.get() < 0) throw_write_error(target, "making a file there", errno);
  file.close();
  put(made, target);
  return true;
}

// "out.png" -> "out-1.png" -> "out-2.png". Four digits are a year, not a count.
Path next_name(const Path& file) {
  constexpr size_t kLongest = 200;
  std::string stem = file.stem().string();
  const size_t dash = stem.rfind('-');
  const std::string digits = dash == stem.npos ? "" : stem.substr(dash + 1);
  const bool counted = !digits.empty() && digits.size() < 4 && digits[0] != '0' &&
                       digits.find_first_not_of("0123456789") == digits.npos;
  const int number = counted ? std::stoi(digits) + 1 : 1;
  if (counted) stem.resize(dash);
  stem.resize(std::min(stem.size(), kLongest));  // a name of 255 bytes has no room for the number
  return file.parent_path() / str(stem, "-", number, file.extension().string());
}

// The temporary file; removed unless it was put in place.
class Temporary {
 public:
  explicit Temporary(const Path& target) {
    do {
      path_ = hidden_name(target, ".tmp");
      file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (file_.get() < 0 && errno == EEXIST);
    if (file_.get() < 0) throw_write_error(target, "making a file there", errno);
  }
  ~Temporary() {
    if (!placed_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const { return file_.get(); }

  Path become(const Path& target, IfTaken if_taken, uint64_t written) {
    if (::fsync(file_.get()) != 0) throw_write_error(target, "writing", errno, written);
    if (file_.close() != 0) throw_write_error(target, "closing", errno, written);
    const Path name = put_in_place(path_, target, if_taken);
    placed_ = true;
    return name;
  }

 private:
  Path path_;
  Descriptor file_{-1};
  bool placed_ = false;
};

void write_to_device(const Path& path, const std::function<void(std::ostream&)>& write) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) throw_write_error(path, "opening", errno);
  write_through(file.get(), path, write);
  if (file.close() != 0) throw_write_error(path, "closing", errno);
}

}  // namespace

int Descriptor::close() {
  return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1));
}

void throw_write_error(const Path& target, const std::string& what, int error, uint64_t written) {
  std::string message =
      str(shown_place(target).string(), ": ", what, " failed: ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    const uint64_t free = free_disk_bytes(target);
    const bool known = free != std::numeric_limits<uint64_t>::max();
    message += str(" after ", written, " bytes");
    if (known) message += str("; ", bytes_text(double(free)), " are free there");
    rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    if (error == EFBIG) ::getrlimit(RLIMIT_FSIZE, &most);
    message += most.rlim_cur == RLIM_INFINITY
                   ? ". Free some space or choose another folder"
                   : str(", but `ulimit -f` allows a file ", uint64_t{most.rlim_cur},
                         " bytes. Raise that limit");
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    message += ". Choose a folder that may be written to";
  }
  throw IoError(message + ".");
}

// Cut, as a name of 255 bytes leaves no room for the ending (some file systems take 143).
Path hidden_name(const Path& target, const char* ending) {
  static std::atomic<int> count{0};
  const std::string name = target.filename().string().substr(0, 100);
  return target.parent_path() / str(".", name, ".", ::getpid(), ".", ++count, ending);
}

Path shown_place(const Path& path) {
  Path shown;
  for (const Path& part : path) {
    const std::string name = part.string();
    if (!name.starts_with('.') || !name.ends_with(kUnfinished)) shown /= part;
  }
  return shown;
}

Path folder_of(const Path& path) {
  return path.has_parent_path() ? path.parent_path() : Path(".");
}

void make_folder_of(const Path& target) {
  std::error_code error;
  fs::create_directories(folder_of(target), error);
  if (error) throw_write_error(target, "making its folder", error.value());
}

// Some file systems cannot sync a folder; the file itself is safe by then.
void sync_to_disk(const Path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) ::fsync(file.get());
}

bool is_device(const Path& path) {
  struct stat about = {};
  return ::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

Path put_in_place(const Path& made, const Path& target, IfTaken if_taken) {
  Path name = target;
  if (if_taken == IfTaken::kReplace)
    put(made, name);
  else
    while (!put_if_free(made, name)) name = next_name(name);
  sync_to_disk(folder_of(name));
  return name;
}

Path write_atomically(const Path& path, const std::function<void(std::ostream&)>& write,
                      IfTaken if_taken) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    throw IoError(str(path.string(), " is a folder; expected the name of a file to write."));
  }
  if (is_device(path) && if_taken == IfTaken::kReplace) {
    write_to_device(path, write);
    return path;
  }
  make_folder_of(path);
  Temporary temporary(path);
  const uint64_t written = write_through(temporary.fd(), path, write);
  return temporary.become(path, if_taken, written);
}

Path write_text_atomically(const Path& path, std::string_view text, IfTaken if_taken) {
  return write_atomically(
      path,
      [&](std::ostream& out) { out.write(text.data(), static_cast<std::streamsize>(text.size())); },
      if_taken);
}

}  // namespace icedit
