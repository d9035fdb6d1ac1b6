#include "io/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/progress.h"
#include "io/files_write.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) {
  return std::strerror(error);
}

// Opened for reading; `about` receives its status. A folder is refused here, since open() takes
// one.
Descriptor open_input(const Path& path, struct stat& about) {
  // Without O_NONBLOCK a named pipe that nobody writes to would block for ever.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    const int error = errno;
    std::error_code ignored;
    if (error == ENOENT && fs::is_symlink(path, ignored)) {
      throw NoInputError(str(path.string(), " is a link to '",
                             fs::read_symlink(path, ignored).string(),
                             "', which is not there: was its download interrupted?"));
    }
    if (error == ENOENT || error == ENOTDIR) {
      throw NoInputError(str(path.string(), ": no such file; check the path."));
    }
    throw IoError(str(path.string(), " cannot be opened for reading: ", reason(error), "."));
  }
  if (::fstat(file.get(), &about) != 0)
    throw IoError(str(path.string(), " cannot be read: ", reason(errno), "."));
  if (S_ISDIR(about.st_mode))
    throw NoInputError(str(path.string(), " is a folder; expected a file."));
  ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) & ~O_NONBLOCK);
  return file;
}

// Up to `size` bytes; fewer only at the end of the file.
size_t read_fully(const Descriptor& file, char* data, size_t size, const Path& path) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.get(), data + done, size - done);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(str(path.string(), " cannot be read: ", reason(errno), "."));
    done += static_cast<size_t>(got);
  }
  return done;
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    check(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr));
  }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* data, size_t size) { check(EVP_DigestUpdate(context_, data, size)); }

  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_, digest, &size));
    return hex_text({reinterpret_cast<const char*>(digest), size});
  }

 private:
  static void check(int ok) {
    if (ok != 1) throw IoError("SHA-256 is not available in this system's libcrypto.");
  }
  EVP_MD_CTX* context_;
};

constexpr size_t kChunk = size_t{1} << 20;

bool is_something(const Path& path, fs::file_status (*status)(const Path&, std::error_code&)) {
  std::error_code error;
  if (fs::exists(status(path, error))) return true;
  for (const std::errc unknown : {std::errc::permission_denied, std::errc::io_error}) {
    if (error != unknown) continue;
    throw IoError(str(path.string(), " cannot be looked at: ", error.message(),
                      ". Is a folder on the way to it another user's?"));
  }
  return false;
}

// Where `size` bytes from `begin` on end, in a file of `all` at the latest. `begin` lies in it.
size_t end_of(size_t begin, size_t size, size_t all) {
  return size < all - begin ? begin + size : all;
}

}  // namespace

MappedFile::MappedFile(const Path& path) : path_(path) {
  struct stat about = {};
  const Descriptor file = open_input(path, about);
  if (!S_ISREG(about.st_mode)) {
    throw NoInputError(str(path.string(),
                           " is a pipe or a device, not a file on a disk; save its content to a "
                           "file first and name that one."));
  }
  size_ = static_cast<size_t>(about.st_size);
  if (size_ == 0) return;  // mmap refuses a length of 0
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    const int error = errno;
    size_ = 0;
    throw IoError(
        str(path.string(), " (", about.st_size, " bytes) cannot be mapped: ", reason(error), "."));
  }
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t begin, size_t size) const {
  if (begin >= size_) return;
  constexpr size_t kAround = size_t{2} << 20;
  const size_t end = end_of(begin, size, size_);
  const size_t first = begin / kAround * kAround;
  const size_t last = std::min(size_, (end + kAround - 1) / kAround * kAround);
  ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

size_t MappedFile::cached(size_t begin, size_t size) const {
  if (begin >= size_) return 0;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = begin / page * page, end = end_of(begin, size, size_);
  std::vector<unsigned char> pages((end - first + page - 1) / page);
  if (::mincore(const_cast<std::byte*>(data_) + first, end - first, pages.data()) != 0)
    return end - begin;
  const auto there = std::count_if(pages.begin(), pages.end(), [](auto p) { return p & 1; });
  return std::min(end - begin, static_cast<size_t>(there) * page);
}

void MappedFile::read_ahead(size_t begin, size_t size) const {
  if (begin >= size_) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = begin / page * page, end = end_of(begin, size, size_);
  auto* data = const_cast<std::byte*>(data_);
#ifdef MADV_POPULATE_READ
  if (::madvise(data + first, end - first, MADV_POPULATE_READ) == 0) return;
#endif
  for (size_t at = first; at < end; at += page)
    static_cast<void>(*static_cast<volatile std::byte*>(data + at));
}

std::string read_file(const Path& path, size_t max_bytes) {
  struct stat about = {};
  const Descriptor file = open_input(path, about);
  const auto too_large = [&](const std::string& size) {
    return NoInputError(
        str(path.string(), " has ", size, " bytes; at most ", max_bytes, " are read."));
  };
  if (S_ISREG(about.st_mode) && static_cast<uint64_t>(about.st_size) > max_bytes) {
    throw too_large(str(about.st_size));
  }
  // By chunks, since a pipe or a file under /proc does not tell its size.
  std::string text;
  for (;;) {
    const size_t before = text.size();
    text.resize(before + kChunk);
    const size_t got = read_fully(file, text.data() + before, kChunk, path);
    text.resize(before + got);
    if (text.size() > max_bytes) throw too_large(str("more than ", max_bytes));
    if (got < kChunk) return text;
  }
}

std::string sha256_file(const Path& path) {
  struct stat about = {};
  const Descriptor file = open_input(path, about);
  std::vector<char> chunk(kChunk);
  Sha256 hash;
  for (;;) {
    const size_t got = read_fully(file, chunk.data(), chunk.size(), path);
    hash.add(chunk.data(), got);
    if (got < chunk.size()) return hash.hex();
  }
}

std::string hex_text(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += "0123456789abcdef"[uint8_t(byte) >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes.data(), bytes.size());
  return hash.hex();
}

Path same_place(const Path& path) {
  std::error_code error;
  const Path canonical = std::filesystem::weakly_canonical(fs::absolute(path, error), error);
  return error ? path.lexically_normal() : canonical;
}

bool is_there(const Path& path) {
  return is_something(path, [](const Path& p, std::error_code& e) { return fs::status(p, e); });
}

bool is_taken(const Path& path) {
  return is_something(path,
                      [](const Path& p, std::error_code& e) { return fs::symlink_status(p, e); });
}

uint64_t free_disk_bytes(const Path& path) {
  std::error_code error;
  Path place = std::filesystem::absolute(path, error);
  if (error) place = path;
  while (!std::filesystem::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  struct statvfs about = {};
  if (::statvfs(place.c_str(), &about) != 0 || about.f_blocks == 0)
    return std::numeric_limits<uint64_t>::max();
  return uint64_t{about.f_bavail} * about.f_frsize;
}

void expect_free_space(const Path& path, uint64_t needed, const std::string& remedy) {
  const uint64_t free = free_disk_bytes(path);
  if (free >= needed) return;
  throw IoError(str(shown_place(path).string(), " needs ", bytes_text(double(needed)), ", but ",
                    bytes_text(double(free)), " are free there; ", remedy, "."));
}

}  // namespace icedit
