#include "io/utf8.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

TEST(Utf8, AMarkGoesAndTheRestStays) {
  EXPECT_EQ(utf8_text("\xef\xbb\xbf"
                      "caf\u00e9\n",
                      "x"),
            "caf\u00e9\n");
  EXPECT_EQ(utf8_text("", "x"), "");
  EXPECT_EQ(utf8_text("\xef\xbb\xbf", "x"), "");
  EXPECT_EQ(utf8_text("a", "x"), "a");
}

TEST(Utf8, WhatIsNoUtf8IsNamed) {
  const auto error = [](const std::string& text) {
    return error_of<DataError>([&] { utf8_text(text, "a.txt"); });
  };
  EXPECT_EQ(error(std::string("\xff\xfe"
                              "a\0",
                              4)),
            "a.txt is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(error(std::string("\0a\0b", 4)), "a.txt is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(error(std::string("a\0\0\0b\0\0\0", 8)), "a.txt is UTF-32 text; save it as UTF-8");
  EXPECT_NE(error(std::string("text\0", 5)).find("a.txt holds a NUL byte"), std::string::npos);
  EXPECT_NE(error("caf\xe9").find("a.txt is no valid UTF-8"), std::string::npos);
  EXPECT_NE(error("\xed\xa0\x80"), "");  // half a surrogate pair
  EXPECT_NE(error("\xc0\x80"), "");      // an overlong NUL
}

}  // namespace
}  // namespace icedit
