#pragma once
// EXIF blocks: a TIFF directory inside JPEG's APP1, PNG's eXIf and WebP's EXIF chunk. Only what
// pictures here need. Source: the Exif 2.3 standard (CIPA DC-008), sections 4.5 and 4.6. Nothing
// here throws on malformed input.
#include <string>
#include <string_view>

#include "io/image.h"

namespace icedit {

inline constexpr std::string_view kAsciiCode{"ASCII\0\0\0", 8};  // UserComment's coding

// 1 ... 8 of a TIFF block (with or without "Exif\0\0" in front); 0 when there is none or it cannot
// be read.
int exif_orientation(Bytes tiff);
// The same from an XMP packet, which counts where EXIF has none, as for Pillow.
int xmp_orientation(std::string_view xmp);

// What of a photo's TIFF block stays true of its edit, as a TIFF block: date, camera, lens,
// exposure, author. Not the orientation (the edit is upright), sizes, thumbnail, MakerNote, XMP,
// captions and comments; the place only with `keep_location`. Empty where nothing is left.
std::string photo_exif(Bytes tiff, bool keep_location);

// A TIFF block: UserComment holds the map as a JSON object in ASCII; "Description" and "Software"
// also go to the fields that other programs show. `photo`: one of photo_exif's, whose fields go
// along. Empty for an empty map and no photo.
std::string make_exif(const PictureText& text, const std::string& photo = {});
// The map that make_exif wrote; of other programs' blocks Description, Software and UserComment
// where they are text.
PictureText read_exif_text(Bytes tiff);

}  // namespace icedit
