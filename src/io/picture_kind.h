#pragma once
// Which kind of file this is, by its first bytes.
#include <string>

#include "io/image.h"

namespace icedit {

// Throws NoInputError: empty, a known format that we do not read (named, with a remedy), or no
// picture at all.
ImageFormat picture_kind(Bytes bytes, const std::string& where);

const char* format_name(ImageFormat format);  // "PNG"

// Whether it begins as a picture, also of a format that we do not read, or as what is often found
// in the place of one.
bool is_picture_of_any_kind(Bytes bytes);

}  // namespace icedit
