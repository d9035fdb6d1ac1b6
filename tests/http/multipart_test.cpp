#include "http/multipart.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace icedit::http {
namespace {

constexpr const char* kType = "multipart/form-data; boundary=XX";

std::string fault(const std::string& body, const std::string& type = kType,
                  const MultipartLimits& limits = {}) {
  try {
    parse_multipart(type, body, limits);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Multipart, ReadsFieldsAndFiles) {
  const std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nmake it winter\r\n"
      "--XX\r\ncontent-disposition: form-data; name=image; filename=\"C:\\\\a\\\\b.png\"\r\n"
      "Content-Type: image/PNG; x=y\r\n\r\n\x89PNG\r\n--X\r\n\r\n--XX--\r\n";
  const std::vector<Part> parts = parse_multipart(kType, body);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].name, "prompt");
  EXPECT_EQ(parts[0].content, "make it winter");
  EXPECT_EQ(parts[0].file, "");
  EXPECT_EQ(parts[1].name, "image");
  EXPECT_EQ(parts[1].file, "b.png");
  EXPECT_EQ(parts[1].type, "image/png");
  EXPECT_EQ(parts[1].content, "\x89PNG\r\n--X\r\n");
}

TEST(Multipart, APartMayBeEmptyAndABoundaryQuoted) {
  const std::string body = "--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--a b--";
  const auto parts = parse_multipart("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", body);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].content, "");
  EXPECT_TRUE(parse_multipart(kType, "--XX--\r\n").empty());
}

TEST(Multipart, SaysWhatIsWrong) {
  const std::string head = "--XX\r\nContent-Disposition: form-data; name=a\r\n";
  EXPECT_NE(fault("", "text/plain").find("Content-Type"), std::string::npos);
  EXPECT_NE(fault("--XX--", "multipart/form-data").find("boundary"), std::string::npos);
  EXPECT_NE(fault("--XX--", "multipart/form-data; boundary=" + std::string(71, 'x')).find("70"),
            std::string::npos);
  EXPECT_NE(fault("before\r\n--XX--").find("begin"), std::string::npos);
  EXPECT_NE(fault(head).find("headers"), std::string::npos);
  EXPECT_NE(fault(head + "\r\ncontent").find("no end"), std::string::npos);
  EXPECT_NE(fault(head + "\r\ncontent\r\n--XX").find("followed"), std::string::npos);
  EXPECT_NE(fault(head + "\r\ncontent\r\n--XXY").find("followed"), std::string::npos);
  EXPECT_NE(fault(head + "\r\n\r\n--XX--more").find("follows"), std::string::npos);
  EXPECT_NE(fault("--XX\r\nX-Y: z\r\n\r\n\r\n--XX--").find("no Content-Disposition"),
            std::string::npos);
  EXPECT_NE(fault("--XX\r\nno colon\r\n\r\n\r\n--XX--").find("colon"), std::string::npos);
  EXPECT_NE(fault(head + "Content-Disposition: form-data; name=b\r\n\r\n\r\n--XX--").find("two"),
            std::string::npos);
  EXPECT_NE(fault(head + "Content-Transfer-Encoding: base64\r\n\r\n\r\n--XX--").find("base64"),
            std::string::npos);
  EXPECT_NE(fault("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--XX--").find("form"),
            std::string::npos);
  EXPECT_NE(
      fault("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n\r\n--XX--").find("form"),
      std::string::npos);
}

TEST(Multipart, KeepsItsLimits) {
  const std::string part = "\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--XX";
  std::string body = "--XX";
  for (int i = 0; i < 3; ++i) body += part;
  body += "--";
  EXPECT_EQ(fault(body, kType, {.parts = 3}), "");
  EXPECT_NE(fault(body, kType, {.parts = 2}).find("more than 2 parts"), std::string::npos);
  const std::string long_head =
      "--XX\r\nX: " + std::string(5000, 'x') + "\r\nContent-Disposition: form-data; name=a\r\n\r\n";
  EXPECT_NE(fault(long_head + "\r\n--XX--").find("too many headers"), std::string::npos);
}

}  // namespace
}  // namespace icedit::http
