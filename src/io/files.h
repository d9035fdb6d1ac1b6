#pragma once
// Files: mapped for reading; written to a temporary name beside the target, synced, then renamed.
// What is at a path, and how much room there is.
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

// Bytes seen as text and text as bytes; what they lie in must outlive both.
inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A whole file mapped read-only (private); pages come in as they are touched. The mapping lives as
// long as the object.
class MappedFile {
 public:
  // Throws NoInputError (not there, a folder), IoError (cannot be read).
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return {data_, size_}; }
  const Path& path() const { return path_; }

  // Gives the pages of [begin, begin + size) back to the system, and what came with them: it maps
  // up to 2 MiB around a byte that is touched. They are mapped again when touched.
  void release(size_t begin, size_t size) const;
  // Of [begin, begin + size) the bytes that are in the system's memory already; all of them where
  // it does not tell, as of another user's file.
  size_t cached(size_t begin, size_t size) const;
  // Has them in memory and mapped; returns once they are. For a thread that reads ahead.
  void read_ahead(size_t begin, size_t size) const;

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file. Throws NoInputError, IoError; also when it is larger than max_bytes.
std::string read_file(const Path& path, size_t max_bytes = size_t{256} << 20);

// What a file does where its name is taken. Whether it is, is found out by taking it, so that of
// two processes that want one name at the same moment each gets its own.
enum class IfTaken {
  kReplace,
  kNextName  // "out-1.png" beside "out.png", "out-2.png" beside "out-1.png"; nothing is replaced
};

// Calls write(stream) on a temporary file beside `path`, syncs it and renames it to `path`, or to
// the name that is free, which is returned; on any error the temporary is removed and `path` is as
// before. Makes missing parent folders. Throws IoError naming the file and the system's reason.
Path write_atomically(const Path& path, const std::function<void(std::ostream&)>& write,
                      IfTaken if_taken = IfTaken::kReplace);
Path write_text_atomically(const Path& path, std::string_view text,
                           IfTaken if_taken = IfTaken::kReplace);

// Whether something is at a path. A name that no file can have (too long, say) is simply not there;
// where a folder on the way may not be looked into, nobody knows, and both throw IoError.
bool is_there(const Path& path);
bool is_taken(const Path& path);  // the name: a link to nothing takes it too

// On the file system that holds `path`, or its nearest parent that exists. One that does not tell
// (some network mounts say 0 of 0) may have any: the writing will say so.
uint64_t free_disk_bytes(const Path& path);
// Throws IoError: fewer than `needed` bytes are free there; `remedy` ends the sentence.
void expect_free_space(const Path& path, uint64_t needed, const std::string& remedy);

// The same for two spellings of one place, which need not exist.
Path same_place(const Path& path);

// Hex SHA-256 of a file's or a string's bytes.
std::string sha256_file(const Path& path);
std::string sha256(std::string_view bytes);
std::string hex_text(std::string_view bytes);  // two lower-case digits a byte

}  // namespace icedit
