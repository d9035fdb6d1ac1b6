#pragma once
// Files: mapped for reading; written to a temporary name beside the target, synced, then renamed.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace icedit {

using Path = std::filesystem::path;
using Bytes = std::span<const std::byte>;

// A whole file mapped read-only (private); pages come in as they are touched. The mapping lives as
// long as the object.
class MappedFile {
 public:
  // Throws NoInputError (not there, a folder), IoError (cannot be
  // read).
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return {data_, size_}; }
  const Path& path() const { return path_; }

  // Gives the pages of [begin, begin + size) back to the system; they are read again when touched.
  void release(size_t begin, size_t size) const;

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file. Throws NoInputError, IoError; also when it is larger than max_bytes.
std::string read_file(const Path& path, size_t max_bytes = size_t{256} << 20);

// Calls write(stream) on a temporary file beside `path`, syncs it and renames it over `path`; on
// any error the temporary is removed and `path` is as before. Makes missing parent folders. Throws
// IoError naming the file and the system's reason.
void write_atomically(const Path& path, const std::function<void(std::ostream&)>& write);
void write_text_atomically(const Path& path, std::string_view text);

// The same for two spellings of one place, which need not exist.
Path same_place(const Path& path);

// Hex SHA-256 of a file's or a string's bytes.
std::string sha256_file(const Path& path);
std::string sha256(std::string_view bytes);

}  // namespace icedit
