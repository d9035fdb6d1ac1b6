#pragma once

namespace icedit {

const char* version();  // "0.1.0", CMake's project version

}  // namespace icedit
