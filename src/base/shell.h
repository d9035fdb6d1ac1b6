#pragma once
// Commands that are shown to be pasted.
#include <string>

namespace icedit {

// As one word of a POSIX shell: in quotes where it needs them.
std::string shell_quoted(const std::string& text);

}  // namespace icedit
