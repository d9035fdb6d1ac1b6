#pragma once
// ICC profiles without a tag: a header that libpng, too, takes. `bytes` in all, from 144 on; a
// PNG's of only 144 is not read by libpng 1.6.39, 260 are.
#include <string>

namespace icedit {

inline std::string test_profile(const std::string& space = "RGB ", size_t bytes = 500) {
  std::string profile(bytes, '\0');
  for (int i = 0; i < 4; ++i) profile[i] = char(bytes >> (24 - 8 * i));
  profile[8] = 2;                                         // version
  profile.replace(12, 4, "mntr").replace(16, 4, space);   // a display's
  profile.replace(20, 4, "XYZ ").replace(36, 4, "acsp");  // the connection space
  const unsigned char d50[] = {0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d};
  profile.replace(68, 12, reinterpret_cast<const char*>(d50), 12);
  for (size_t i = 132; i < bytes; ++i) profile[i] = char(i * 37 + i / 251);
  return profile;
}

}  // namespace icedit
