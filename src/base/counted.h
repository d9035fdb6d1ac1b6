#pragma once
// Numbers and lists as a sentence has them.
#include <cstdint>
#include <string>
#include <vector>

#include "base/str.h"

namespace icedit {

// "1 row", "2 rows".
inline std::string counted(uint64_t count, const char* noun) {
  return str(count, " ", noun, count == 1 ? "" : "s");
}

// "a, b, c".
inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace icedit
