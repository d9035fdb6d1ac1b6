// Writing of files.h: what is half written never stands under the target's name.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/progress.h"
#include "io/files.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const Path& target, const std::string& what, int error, uint64_t written) {
  std::string message = str(target.string(), ": ", what, " failed: ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    message += str(" after ", written, " bytes; ",
                   bytes_text(static_cast<double>(free_disk_bytes(target))),
                   " are free there. Free some space or choose another folder");
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

// The temporary file; removed unless it was renamed.
class Temporary {
 public:
  explicit Temporary(const Path& target) {
    static std::atomic<int> count{0};
    // Cut, as a name of 255 bytes leaves no room for the ending (some file systems take 143).
    const std::string name = target.filename().string().substr(0, 100);
    do {
      path_ = target.parent_path() / str(".", name, ".", ::getpid(), ".", ++count, ".tmp");
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd_ < 0 && errno == EEXIST);
    if (fd_ < 0) fail(target, "making a file there", errno, 0);
  }
  ~Temporary() {
    if (fd_ >= 0) ::close(fd_);
    if (!renamed_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const { return fd_; }

  void become(const Path& target, uint64_t written) {
    if (::fsync(fd_) != 0) fail(target, "writing", errno, written);
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0) fail(target, "closing", errno, written);
    if (::rename(path_.c_str(), target.c_str()) != 0) fail(target, "renaming", errno, written);
    renamed_ = true;
    // Some file systems cannot sync a folder; the file itself is safe by now.
    const Path folder = target.has_parent_path() ? target.parent_path() : Path(".");
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
      ::fsync(fd);
      ::close(fd);
    }
  }

 private:
  Path path_;
  int fd_ = -1;
  bool renamed_ = false;
};

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

void write_atomically(const Path& path, const std::function<void(std::ostream&)>& write) {
  struct stat about = {};
  const bool exists = ::stat(path.c_str(), &about) == 0;
  if (exists && S_ISDIR(about.st_mode)) {
    throw IoError(str(path.string(), " is a folder; expected the name of a file to write."));
  }
  // A rename over /dev/null or /dev/stdout would replace the device.
  if (exists && !S_ISREG(about.st_mode)) return write_to_device(path, write);
  if (path.has_parent_path()) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) fail(path, "making its folder", error.value(), 0);
  }
  Temporary temporary(path);
  const uint64_t written = write_through(temporary.fd(), path, write);
  temporary.become(path, written);
}

void write_text_atomically(const Path& path, std::string_view text) {
  write_atomically(path, [&](std::ostream& out) {
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
  });
}

}  // namespace icedit
