#pragma once
// What a mask selects: white (128 and more) is where the edit may change something.
#include "io/image.h"

namespace icedit {

constexpr bool is_white(uint8_t value) {
  return value >= 128;
}
bool has_white(const Image& mask);

// Whether a mask is the picture itself with a transparent hole, by which several APIs (OpenAI's
// images/edits) say where to edit. `painted`: the mask as it is stored, RGBA where it has alpha.
bool is_erased_copy(const Image& painted, const Image& source);

}  // namespace icedit
