// Which ICC profiles travel with a picture. Source: ICC.1:2022 (profile version 4.4), 7.2.
#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

constexpr size_t kMaxProfile = 4 << 20;
constexpr size_t kMinProfile = 128 + 4 + 12;  // header, the tags' number, one tag's entry
// A big-endian size, and four characters each.
constexpr size_t kSizeAt = 0, kSpaceAt = 16, kSignatureAt = 36;

uint32_t size_field(std::string_view profile) {
  uint32_t size = 0;
  for (size_t i = kSizeAt; i < kSizeAt + 4; ++i) size = size << 8 | uint8_t(profile[i]);
  return size;
}

// Empty where the profile is too short.
std::string_view space_of(std::string_view profile) {
  return profile.size() < kMinProfile ? std::string_view() : profile.substr(kSpaceAt, 4);
}

std::string printable(std::string_view characters) {
  std::string text(characters);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

std::string profile_fault(std::string_view profile) {
  if (profile.size() < kMinProfile || profile.size() > kMaxProfile)
    return str("it has ", profile.size(), " bytes, expected ", kMinProfile, " to ", kMaxProfile);
  if (size_field(profile) != profile.size())
    return str("it has ", profile.size(), " bytes, its header says ", size_field(profile));
  if (profile.substr(kSignatureAt, 4) != "acsp") return "its header lacks 'acsp'";
  if (space_of(profile) != "RGB ")
    return str("its colour space is '", printable(space_of(profile)), "', expected 'RGB '");
  return {};
}

std::string read_colour_profile(Bytes bytes, const std::string& where) {
  const Codec& codec = codec_of(bytes, where);
  StoredProfile stored;
  try {
    stored = codec.profile(bytes, where);
  } catch (const NoInputError& error) {  // the picture itself may be whole
    log::verbose(str("no colour profile: ", error.what()));
  }
  if (stored.bytes.empty()) return {};
  const std::string_view space = space_of(stored.bytes);
  if (!stored.rgb_picture || space == "GRAY" || space == "CMYK") {
    log::warn(str(where,
                  ": its colour profile is left out: a grey or CMYK picture's does not fit the RGB "
                  "one that is made of it; to keep the colours as they are shown, convert the "
                  "picture to RGB in another program first"));
    return {};
  }
  const std::string fault = profile_fault(stored.bytes);
  if (fault.empty()) return stored.bytes;
  log::verbose(str(where, ": its colour profile is left out: ", fault));
  return {};
}

}  // namespace icedit
