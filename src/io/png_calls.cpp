#include "io/png_calls.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>

namespace icedit::png {

void on_error(png_struct_def* png, const char* message) {
  auto* state = static_cast<State*>(png_get_error_ptr(png));
  std::snprintf(state->reason, sizeof state->reason, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_struct_def*, const char*) {}

bool guarded(png_struct_def* png, void (*calls)(void*), void* context) {
  if (setjmp(png_jmpbuf(png))) return false;
  calls(context);
  return true;
}

}  // namespace icedit::png
