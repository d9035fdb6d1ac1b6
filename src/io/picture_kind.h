#pragma once
// Which kind of file this is, by its first bytes.
#include <string>

#include "io/image.h"

namespace icedit {

// Throws NoInputError: empty, a known format that we do not read (named, with a remedy), or no
// picture at all.
ImageFormat picture_kind(Bytes bytes, const std::string& where);

}  // namespace icedit
