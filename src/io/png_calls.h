#pragma once
// How libpng is called: its errors leave by longjmp, so the calls stand in `guarded` and own
// nothing.
#include <string>

#include "io/files.h"

struct png_struct_def;

namespace icedit::png {

// What the callbacks see: libpng's error and input/output pointer.
struct State {
  Bytes in;
  size_t at = 0;
  std::string* out = nullptr;
  char reason[200] = "unknown";
};

[[noreturn]] void on_error(png_struct_def* png, const char* message);
void on_warning(png_struct_def* png, const char* message);

bool guarded(png_struct_def* png, void (*calls)(void*), void* context);

// Runs calls of libpng; false after an error. What `calls` makes is not destroyed on an error.
template <class Calls>
bool guarded(png_struct_def* png, Calls calls) {
  return guarded(
      png, [](void* context) { (*static_cast<Calls*>(context))(); }, &calls);
}

}  // namespace icedit::png
