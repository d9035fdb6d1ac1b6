#pragma once
#include <string>

namespace icedit {

// "~" and "~/..." begin at the user's folder. A shell replaces them, but neither in a file nor
// behind the '=' of --option=VALUE; so every path that is read there goes through this.
std::string expand_home(const std::string& path);

}  // namespace icedit
