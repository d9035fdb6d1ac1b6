#pragma once
// Bytes seen as text and text as bytes; what they lie in must outlive both.
#include <span>
#include <string_view>

#include "io/files.h"

namespace icedit {

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace icedit
