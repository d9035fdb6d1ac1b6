#pragma once
// What reads and writes files here shares; private to this folder.
#include <cstdint>
#include <string>
#include <utility>

#include "io/files.h"

namespace icedit {

// A file of the system's, closed with the object.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }  // -1: there is none
  int close();                     // what the system says

 private:
  int fd_;
};

// "TARGET: WHAT failed: REASON", with the remedy, of an errno, after so many bytes.
[[noreturn]] void throw_write_error(const Path& target, const std::string& what, int error,
                                    uint64_t written = 0);

// Hidden, beside the target, another at each call.
Path hidden_name(const Path& target, const char* ending);
inline constexpr const char* kUnfinished = ".icedit-new";  // the ending of a folder in the making
// The place that a user knows: without the hidden folder in which something comes to be.
Path shown_place(const Path& path);

void make_folder_of(const Path& target);
void sync_to_disk(const Path& path);  // a file, or the names in a folder
Path folder_of(const Path& path);     // "." where it has none

// A rename over /dev/null or /dev/stdout would replace it.
bool is_device(const Path& path);

// Renames; returns the name that it got.
Path put_in_place(const Path& made, const Path& target, IfTaken if_taken);

}  // namespace icedit
