#include "http/form.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "http/base64.h"

namespace icedit::http {
namespace {

Request json_request(const std::string& body) {
  Request request;
  request.headers = {{"Content-Type", "application/json; charset=utf-8"}};
  request.body = body;
  return request;
}

std::string fault(const Request& request) {
  try {
    std::vector<File> files;
    parse_form(request, {}, files);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Base64, GoesThereAndBack) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += char(i);
  EXPECT_EQ(from_base64(to_base64(all)), all);
  EXPECT_EQ(from_base64("Zg"), "f");  // without padding
}

TEST(Base64, RefusesWhatIsNotExactlySo) {
  for (const char* text :
       {"Z", "Zg=", "Zg===", "Z g=", "Zm9v\n", "Zh==", "Z-9v", "====", "Zg==Zg=="})
    EXPECT_FALSE(from_base64(text)) << text;
}

TEST(DataUrl, IsBase64Only) {
  EXPECT_EQ(parse_data_url("data:image/PNG;base64,Zm9v")->type, "image/png");
  EXPECT_EQ(parse_data_url("data:image/png;base64,Zm9v")->bytes, "foo");
  EXPECT_EQ(parse_data_url("DATA:;base64,")->bytes, "");
  for (const char* url : {"", "data:", "data:image/png,foo", "data:image/png;base64", "http://a/b",
                          "data:image/png;base64,%20", "xdata:;base64,Zm9v"})
    EXPECT_FALSE(parse_data_url(url)) << url;
}

TEST(Form, ReadsMultipart) {
  Request request;
  request.headers = {{"content-type", "multipart/form-data; boundary=X"}};
  request.body =
      "--X\r\nContent-Disposition: form-data; name=\"image[]\"; filename=a.png\r\n\r\nPIC\r\n"
      "--X\r\nContent-Disposition: form-data; name=prompt\r\n\r\nwinter\r\n"
      "--X\r\nContent-Disposition: form-data; name=\"lora[]\"\r\n\r\none\r\n"
      "--X\r\nContent-Disposition: form-data; name=mask; filename=\"\"\r\n\r\n\r\n--X--\r\n";
  std::vector<File> files;
  const Json fields = parse_form(request, {}, files);
  EXPECT_EQ(fields.dump(), R"({"prompt":"winter","lora":["one"]})");
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].field, "image");
  EXPECT_EQ(files[0].name, "a.png");
  EXPECT_EQ(files[0].bytes, "PIC");
}

TEST(Form, ReadsJsonWithDataUrls) {
  std::vector<File> files;
  const Json fields = parse_form(
      json_request(
          R"({"prompt": "a", "n": 2, "images": [{"image_url": "data:image/png;base64,Zm9v"}],
                      "mask": "data:image/png;base64,Zg==", "image": null})"),
      {}, files);
  EXPECT_EQ(fields.dump(), R"({"prompt":"a","n":2})");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].field, "image");
  EXPECT_EQ(files[0].bytes, "foo");
  EXPECT_EQ(files[1].field, "mask");
}

TEST(Form, SaysWhatIsWrong) {
  EXPECT_NE(fault(json_request("{")).find("no valid JSON"), std::string::npos);
  EXPECT_NE(fault(json_request("[]")).find("no object"), std::string::npos);
  EXPECT_NE(fault(json_request(std::string(100'000, '['))).find("nested"), std::string::npos);
  EXPECT_NE(fault(json_request(R"({"image": "https://example.org/a.png"})")).find("not fetched"),
            std::string::npos);
  EXPECT_NE(fault(json_request(R"({"image": {"file_id": "a"}})")).find("by id"), std::string::npos);
  EXPECT_NE(fault(json_request(R"({"image": 3})")).find("data URL"), std::string::npos);
  EXPECT_NE(fault(json_request("{\"a\": \"\xff\"}")).find("JSON"), std::string::npos);
  EXPECT_NE(fault(json_request("{\"a\": [\"" + std::string(9000, 'x') + "\"]}")).find("at most"),
            std::string::npos);
  Request text;
  text.headers = {{"content-type", "text/plain"}};
  EXPECT_NE(fault(text).find("text/plain"), std::string::npos);
}

}  // namespace
}  // namespace icedit::http
