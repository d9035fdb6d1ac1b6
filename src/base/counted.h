#pragma once
#include <cstdint>
#include <string>

#include "base/str.h"

namespace icedit {

// "1 row", "2 rows".
inline std::string counted(uint64_t count, const char* noun) {
  return str(count, " ", noun, count == 1 ? "" : "s");
}

}  // namespace icedit
