#include "server/edit_form.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/problem.h"

namespace icedit::server {
namespace {

ModelFacts facts() {
  ModelFacts facts;
  facts.name = "nano";
  facts.adapters = {"first", "second"};
  facts.scales = {0.5, 2};
  return facts;
}

EditForm read(Json fields, FormKind kind = FormKind::kImages) {
  if (!fields.contains("image")) fields["image"] = "data:image/png;base64,Zm9v";
  if (!fields.contains("prompt")) fields["prompt"] = "make it winter";
  http::Request request;
  request.headers = {{"content-type", "application/json"}};
  request.body = fields.dump();
  return read_edit_form(request, kind, {}, facts(), nullptr);
}

Problem fault(const Json& fields, FormKind kind = FormKind::kImages) {
  try {
    read(fields, kind);
  } catch (...) {
    return problem_of(std::current_exception());
  }
  return {200, "", "", ""};
}

TEST(EditForm, TakesOpenAIsNames) {
  const EditForm form = read({{"model", "gpt-image-1"},
                              {"n", 3},
                              {"size", "1024x768"},
                              {"output_format", "jpeg"},
                              {"output_compression", 80},
                              {"response_format", "url"},
                              {"stream", true},
                              {"partial_images", 2},
                              {"quality", "high"},
                              {"background", "auto"},
                              {"input_fidelity", "high"},
                              {"moderation", "low"},
                              {"user", "me"},
                              {"mask", "data:image/png;base64,Zg=="}});
  const JobInput& input = form.input;
  EXPECT_EQ(input.settings.request.instruction, "make it winter");
  EXPECT_EQ(input.settings.request.num_images, 3);
  EXPECT_EQ(input.size, (Size{1024, 768}));
  EXPECT_EQ(input.format, ImageFormat::kJpeg);
  EXPECT_EQ(input.settings.quality, 80);
  EXPECT_EQ(input.image, "foo");
  EXPECT_EQ(input.mask, "f");
  EXPECT_TRUE(input.mask_by_alpha);
  EXPECT_EQ(input.previews, 2);
  EXPECT_TRUE(form.stream);
  EXPECT_TRUE(form.as_url);
}

TEST(EditForm, TakesEverySettingByTheNameOfTheOneTable) {
  const EditForm form = read({{"seed", "18446744073709551615"},
                              {"num_inference_steps", 5},
                              {"guidance_scale", "2.5"},
                              {"output_size", "source"},
                              {"detail", "model"},
                              {"feather", 3},
                              {"sizing", "icedit"},
                              {"keep_location", "true"}},
                             FormKind::kJobs);
  const EditSettings& s = form.input.settings;
  EXPECT_EQ(s.seed, 18446744073709551615U);
  EXPECT_EQ(s.request.steps, 5);
  EXPECT_EQ(s.request.guidance, 2.5);
  EXPECT_TRUE(s.request.source_size);
  EXPECT_EQ(s.request.keep_detail, false);
  EXPECT_EQ(s.request.feather, 3);
  EXPECT_TRUE(s.keep_location);
  EXPECT_FALSE(form.input.mask_by_alpha);
  EXPECT_LT(*read(Json::object()).input.settings.seed, uint64_t{1} << 53);
}

TEST(EditForm, NoFieldNamesAFile) {
  const std::vector<std::string> names = setting_fields();
  for (const char* path : {"image", "mask", "output", "change_map"})
    EXPECT_EQ(std::count(names.begin(), names.end(), path), 0) << path;
  EXPECT_EQ(fault({{"output", "/tmp/a.png"}}).param, "output");
  EXPECT_EQ(fault({{"change_map", "a.png"}}).param, "change_map");
  EXPECT_EQ(fault({{"image", "/etc/passwd"}}).status, 400);
  EXPECT_EQ(fault({{"lora", "../lora.safetensors"}}).param, "lora");
}

TEST(EditForm, NamesAdaptersAndScales) {
  using V = std::vector<double>;
  EXPECT_EQ(read(Json::object()).input.scales, (V{0.5, 0}));
  EXPECT_EQ(read({{"lora", "second"}}).input.scales, (V{0, 2}));
  EXPECT_EQ(read({{"lora", "second:0.25"}}).input.scales, (V{0, 0.25}));
  EXPECT_EQ(read({{"lora", "first, second:1"}}).input.scales, (V{0.5, 1}));
  EXPECT_EQ(read({{"lora", {"first:1", "second"}}}).input.scales, (V{1, 2}));
  EXPECT_EQ(read({{"lora", "none"}}).input.scales, (V{0, 0}));
  EXPECT_EQ(read({{"lora", ""}}).input.scales, (V{0, 0}));
  EXPECT_NE(fault({{"lora", "third"}}).message.find("first, second"), std::string::npos);
  EXPECT_NE(fault({{"lora", "first:x"}}).message.find("scale"), std::string::npos);
}

TEST(EditForm, SaysWhichFieldIsWrong) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"prompt", ""}}, "prompt"},
      {{{"prompt", " \n"}}, "prompt"},
      {{{"prompt", 3}}, "prompt"},
      {{{"prompt", std::string(2001, 'x')}}, "prompt"},
      {{{"prompt", std::string("a\0b", 3)}}, "prompt"},
      {{{"n", 0}}, "n"},
      {{{"n", 11}}, "n"},
      {{{"n", "two"}}, "n"},
      {{{"n", 1}, {"num_images", 1}}, "num_images"},
      {{{"size", "1024"}}, "size"},
      {{{"size", "1024x"}}, "size"},
      {{{"size", "1024x8x"}}, "size"},
      {{{"size", "99999x10"}}, "size"},
      {{{"size", "512x512"}, {"output_size", "source"}}, "size"},
      {{{"output_format", "gif"}}, "output_format"},
      {{{"output_compression", 101}}, "output_compression"},
      {{{"response_format", "file"}}, "response_format"},
      {{{"stream", "maybe"}}, "stream"},
      {{{"partial_images", 4}}, "partial_images"},
      {{{"steps", 101}}, "steps"},
      {{{"steps", 0}}, "steps"},
      {{{"width", 4096}}, "width"},
      {{{"seed", -1.5}}, "seed"},
      {{{"seed", 18446744073709551615U}, {"n", 2}}, "seed"},
      {{{"keep_location", true}}, "keep_location"},
      {{{"steps", 8}, {"calls", 9}}, "calls"},
      {{{"calls", 99}}, "calls"},
      {{{"calls", 5}, {"speed", "fast"}}, "calls"},
      {{{"calls", 5}, {"speed_error", 50}}, "calls"},
      {{{"solver", "ab2"}, {"speed", "fast"}}, "solver"},
      {{{"solver", "ab2"}, {"calls", 5}}, "solver"},
      {{{"no_such_thing", 1}}, "no_such_thing"},
  };
  for (const auto& [fields, param] : cases) {
    const Problem problem = fault(fields);
    EXPECT_EQ(problem.status, 400) << fields;
    EXPECT_EQ(problem.param, param) << fields << problem.message;
    EXPECT_FALSE(problem.message.empty());
  }
  EXPECT_EQ(fault({{"model", "gpt-4"}}).status, 404);
  EXPECT_EQ(fault({{"image", nullptr}}).code, "missing_image");
  const Json two = {"data:image/png;base64,Zm9v", "data:image/png;base64,Zm9v"};
  EXPECT_EQ(fault({{"image", two}}).code, "too_many_images");
}

}  // namespace
}  // namespace icedit::server
