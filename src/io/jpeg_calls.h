#pragma once
// How libjpeg is called: its errors leave by longjmp, so the calls stand in `run` and own nothing.
#include <memory>
#include <string>
#include <string_view>

struct jpeg_common_struct;
struct jpeg_error_mgr;

namespace icedit::jpeg {

// What an APP1 segment with EXIF begins with.
inline constexpr std::string_view kExifMark{"Exif\0\0", 6};

// The error handler of one reader or writer.
class Errors {
 public:
  Errors();
  ~Errors();
  jpeg_error_mgr* handler();
  const char* reason() const;  // of the last error

  // Runs calls of libjpeg; false after an error. What `calls` makes is not destroyed on an error.
  template <class Calls>
  bool run(Calls calls) {
    return run([](void* context) { (*static_cast<Calls*>(context))(); }, &calls);
  }

  // From inside a callback of libjpeg: ends the calls with this reason.
  [[noreturn]] static void fail(jpeg_common_struct* info, const char* reason);

 private:
  bool run(void (*calls)(void*), void* context);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit::jpeg
