#pragma once
// How libpng is called: its errors leave by longjmp, so the calls stand in `guarded` and own
// nothing.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <string>

#include "io/files.h"

namespace icedit::png {

// What the callbacks see.
struct State {
  Bytes in;
  size_t at = 0;
  std::string* out = nullptr;
  char reason[200] = "unknown";
};

inline void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<State*>(png_get_error_ptr(png));
  std::snprintf(state->reason, sizeof state->reason, "%s", message);
  png_longjmp(png, 1);
}

inline void on_warning(png_structp, png_const_charp) {}

// Runs calls of libpng; false after an error. What `calls` makes is not destroyed on an error.
template <class Calls>
bool guarded(png_structp png, Calls calls) {
  if (setjmp(png_jmpbuf(png))) return false;
  calls();
  return true;
}

}  // namespace icedit::png
