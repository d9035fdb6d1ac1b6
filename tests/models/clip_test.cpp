#include <c10/core/InferenceMode.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "errors.h"
#include "golden.h"
#include "models/clip/text_encoder.h"

namespace icedit {
namespace {

using golden::close;
using golden::get;

ClipTextEncoder load(const std::string& folder, const LoadOptions& options = {}) {
  return ClipTextEncoder::load(Checkpoint::open(golden::path(folder)),
                               JsonFile(golden::path(folder + "/config.json")), options);
}

TEST(Clip, AsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("text/text.safetensors");
  Trace trace;
  const ClipOutput out =
      load("tiny-fill/text_encoder").forward(get(want, "clip.input_ids"), &trace);
  EXPECT_TRUE(
      close(out.last_hidden_state, get(want, "clip.last_hidden_state"), golden::tolerance::kText));
  EXPECT_TRUE(close(out.pooled, get(want, "clip.pooled"), golden::tolerance::kText));
  EXPECT_EQ(trace.tensors().size(), 3u);
  for (const auto& [name, tensor] : trace.tensors()) {
    EXPECT_TRUE(close(tensor, get(want, name), golden::tolerance::kText)) << name;
  }
}

class ClipOfOtherShape : public ::testing::TestWithParam<std::string> {};

TEST_P(ClipOfOtherShape, AsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load(GetParam() + "/case.safetensors");
  const ClipOutput out = load(GetParam()).forward(get(want, "input_ids"));
  EXPECT_TRUE(
      close(out.last_hidden_state, get(want, "last_hidden_state"), golden::tolerance::kMore));
  EXPECT_TRUE(close(out.pooled, get(want, "pooled"), golden::tolerance::kMore));
}

// The error of half precision against f32 may be twice that of transformers at most.
TEST_P(ClipOfOtherShape, InHalfPrecisionAboutAsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load(GetParam() + "/case.safetensors");
  const ClipOutput out =
      load(GetParam(), {.compute = at::kBFloat16}).forward(get(want, "input_ids"));
  for (const auto& [name, got] :
       {std::pair{"last_hidden_state", out.last_hidden_state}, {"pooled", out.pooled}}) {
    const Tensor exact = get(want, name);
    const auto error = [&](const Tensor& x) {
      return ((x.to(at::kFloat) - exact).abs().max() / exact.abs().max()).item<double>();
    };
    const double theirs = error(get(want, std::string("bf16.") + name));
    RecordProperty(std::string("bf16_error_") + name,
                   str(error(got), " (transformers ", theirs, ")"));
    EXPECT_LE(error(got), 2 * theirs) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(More, ClipOfOtherShape,
                         ::testing::Values("more/clip_gelu_eos", "more/clip_prefixed"),
                         [](const auto& info) { return info.param.substr(10); });

TEST(Clip, ReadsAWholeClipModel) {
  const c10::InferenceMode no_grad;
  const std::string folder = "more/clip_prefixed";
  const Checkpoint text = Checkpoint::open(golden::path(folder));
  auto entries = text.entries();
  for (const char* name :
       {"text_projection.weight", "logit_scale", "vision_model.embeddings.class_embedding",
        "text_model.embeddings.position_ids", "visual_projection.weight"}) {
    entries.emplace(name, text.entry("text_model.final_layer_norm.bias"));
  }
  const std::string config = dumped(JsonFile(golden::path(folder + "/config.json")).json());
  const auto whole =
      JsonFile::parse(R"({"model_type": "clip", "text_config": )" + config + "}", "clip");
  const auto want = golden::load(folder + "/case.safetensors");
  const auto out =
      ClipTextEncoder::load(Checkpoint("clip", entries), whole, {}).forward(get(want, "input_ids"));
  EXPECT_TRUE(close(out.pooled, get(want, "pooled"), golden::tolerance::kMore));
}

TEST(Clip, WrongIdsAreNamed) {
  const ClipTextEncoder clip = load("more/clip_prefixed");
  const auto forward = [&](const Tensor& ids) {
    return error_of<UsageError>([&] { clip.forward(ids); });
  };
  EXPECT_EQ(forward(at::zeros({7}, at::kInt)), "input_ids: expected [N, L], got [7]");
  EXPECT_EQ(forward(at::zeros({1, 12}, at::kInt)),
            "input_ids: expected at most 11 tokens (max_position_embeddings in the model's "
            "config.json), got [1, 12]");
  EXPECT_TRUE(has(forward(at::full({1, 2}, 100, at::kInt)), "input_ids[0, 0]: expected 0 ... 99"));
}

std::string config_error(const std::string& rest) {
  const std::string json =
      R"({"vocab_size": 64, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, )" +
      rest + "}";
  return error_of<CheckpointError>(
      [&] { ClipConfig::from(JsonFile::parse(json, "clip/config.json")); });
}

TEST(ClipConfig, WrongValuesAreNamed) {
  EXPECT_TRUE(has(config_error(R"("eos_token_id": 2)"), "intermediate_size"));
  EXPECT_EQ(config_error(R"("intermediate_size": 8, "num_attention_heads": 3)"),
            "clip/config.json: 'hidden_size' is 8, expected a multiple of 'num_attention_heads', "
            "which is 3");
  EXPECT_EQ(config_error(R"("intermediate_size": 8, "eos_token_id": 64)"),
            "clip/config.json: 'eos_token_id' is 64, expected 0 ... 63 ('vocab_size' is 64)");
  EXPECT_TRUE(
      has(config_error(R"("intermediate_size": 8, "eos_token_id": 2, "hidden_act": "tanh")"),
          "clip/config.json: 'hidden_act' is 'tanh', expected one of relu"));
  EXPECT_TRUE(has(config_error(R"("intermediate_size": 8, "model_type": "siglip")"),
                  "'model_type' is siglip"));
}

TEST(Clip, CheckpointsThatDoNotFitAreNamed) {
  const JsonFile config(golden::path("more/clip_gelu_eos/config.json"));
  const auto load_error = [&](const Checkpoint& checkpoint) {
    return error_of<CheckpointError>([&] { ClipTextEncoder::load(checkpoint, config, {}); });
  };
  EXPECT_TRUE(has(load_error(Checkpoint::open(golden::path("more/clip_prefixed"))),
                  "text_model.embeddings.token_embedding.weight"));
  EXPECT_TRUE(has(load_error(Checkpoint::open(golden::path("more/t5_gelu"))),
                  "embeddings.token_embedding.weight"));
  const Checkpoint whole = Checkpoint::open(golden::path("more/clip_gelu_eos"));
  auto entries = whole.entries();
  entries.emplace("encoder.layers.3.mlp.fc1.bias", whole.entry("encoder.layers.2.mlp.fc1.bias"));
  EXPECT_TRUE(has(load_error(Checkpoint("four", entries)), "encoder.layers.3.mlp.fc1.bias"));
}

TEST(Clip, LoadsTheNanoModel) {
  const Path folder = Path(ICEDIT_SOURCE) / "models/nano/model/text_encoder";
  const c10::InferenceMode no_grad;
  const auto clip = ClipTextEncoder::load(Checkpoint::open(folder),
                                          JsonFile(folder / "config.json"), {.keep_stored = true});
  const ClipOutput out = clip.forward(at::arange(154, at::kInt).view({2, 77}));
  EXPECT_EQ(out.pooled.sizes(), (Shape{2, 96}));
  EXPECT_TRUE(golden::equal(out.pooled,
                            out.last_hidden_state.select(1, 0)));  // no end of text in either row
}

}  // namespace
}  // namespace icedit
