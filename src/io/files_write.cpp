// Writing of files.h and new_file.h: what is half written never stands under the target's name.
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
#include "io/disk_space.h"
#include "io/new_file.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const Path& target, const std::string& what, int error, uint64_t written) {
  std::string message = str(target.string(), ": ", what, " failed: ", std::strerror(error));
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
      if (done < 0) fail(target_, "writing", errno, written_);
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

// Beside the target, another at each call. Cut, as a name of 255 bytes leaves no room for the
// ending (some file systems take 143).
Path hidden_name(const Path& target, const char* ending) {
  static std::atomic<int> count{0};
  const std::string name = target.filename().string().substr(0, 100);
  return target.parent_path() / str(".", name, ".", ::getpid(), ".", ++count, ending);
}

void make_folder_of(const Path& target) {
  if (!target.has_parent_path()) return;
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) fail(target, "making its folder", error.value(), 0);
}

// Some file systems cannot sync a folder; the file itself is safe by then.
void sync_folder_of(const Path& target) {
  const Path folder = target.has_parent_path() ? target.parent_path() : Path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

void put(const Path& made, const Path& target) {
  if (::rename(made.c_str(), target.c_str()) != 0) fail(target, "renaming", errno, 0);
}

// False where the name is taken.
bool put_if_free(const Path& made, const Path& target) {
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0)
    return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS) fail(target, "renaming", errno, 0);
  // A file system that cannot (NFS, FAT): the name is taken by an empty file, which is ours to
  // replace.
  const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return false;
  if (fd < 0) fail(target, "making a file there", errno, 0);
  ::close(fd);
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

Path put_in_place(const Path& made, const Path& target, IfTaken if_taken) {
  Path name = target;
  if (if_taken == IfTaken::kReplace)
    put(made, name);
  else
    while (!put_if_free(made, name)) name = next_name(name);
  sync_folder_of(name);
  return name;
}

// The temporary file; removed unless it was put in place.
class Temporary {
 public:
  explicit Temporary(const Path& target) {
    do {
      path_ = hidden_name(target, ".tmp");
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd_ < 0 && errno == EEXIST);
    if (fd_ < 0) fail(target, "making a file there", errno, 0);
  }
  ~Temporary() {
    if (fd_ >= 0) ::close(fd_);
    if (!placed_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const { return fd_; }

  Path become(const Path& target, IfTaken if_taken, uint64_t written) {
    if (::fsync(fd_) != 0) fail(target, "writing", errno, written);
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0) fail(target, "closing", errno, written);
    const Path name = put_in_place(path_, target, if_taken);
    placed_ = true;
    return name;
  }

 private:
  Path path_;
  int fd_ = -1;
  bool placed_ = false;
};

// A rename over /dev/null or /dev/stdout would replace it.
bool is_device(const Path& path) {
  struct stat about = {};
  return ::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

void write_to_device(const Path& path, const std::function<void(std::ostream&)>& write) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail(path, "opening", errno, 0);
  try {
    write_through(fd, path, write);
  } catch (...) {
    ::close(fd);
    throw;
  }
  if (::close(fd) != 0) fail(path, "closing", errno, 0);
}

}  // namespace

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

void write_atomically(const Path& path, const std::function<void(std::ostream&)>& write) {
  write_atomically(path, write, IfTaken::kReplace);
}

void write_text_atomically(const Path& path, std::string_view text) {
  write_text_atomically(path, text, IfTaken::kReplace);
}

NewFiles::NewFiles(const Path& target) : path_(target) {
  if (is_device(target)) return;
  // "folder/" and ".." have no name of their own.
  const Path last = target.filename();
  const Path name = last.empty()                  ? target.parent_path()
                    : last == "." || last == ".." ? same_place(target)
                                                  : target;
  beside_ = name.parent_path();
  make_folder_of(name);
  int made = -1;
  do {
    hidden_ = hidden_name(name, ".new");
    made = ::mkdir(hidden_.c_str(), 0777);
  } while (made != 0 && errno == EEXIST);
  if (made != 0) fail(target, "making a file there", errno, 0);
  path_ = hidden_ / name.filename();
}

NewFiles::~NewFiles() {
  std::error_code ignored;
  if (!hidden_.empty()) fs::remove_all(hidden_, ignored);
}

Path NewFiles::put(const Path& made, IfTaken if_taken) const {
  if (hidden_.empty()) return made;
  const Path target = beside_ / made.lexically_relative(hidden_);
  make_folder_of(target);
  return put_in_place(made, target, if_taken);
}

}  // namespace icedit
