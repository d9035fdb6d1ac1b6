#include <c10/core/InferenceMode.h>

#include "base/error.h"
#include "errors.h"
#include "golden.h"
#include "models/t5/encoder.h"

namespace icedit {
namespace {

using golden::close;
using golden::get;

T5Encoder load(const std::string& folder, const LoadOptions& options = {}) {
  return T5Encoder::load(Checkpoint::open(golden::path(folder)),
                         JsonFile(golden::path(folder + "/config.json")), options);
}

double error(const Tensor& got, const Tensor& exact) {
  return ((got.to(at::kFloat) - exact).abs().max() / exact.abs().max()).item<double>();
}

TEST(T5, AsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("text/text.safetensors");
  Trace trace;
  const Tensor hidden = load("tiny-fill/text_encoder_2").forward(get(want, "t5.input_ids"), &trace);
  EXPECT_TRUE(close(hidden, get(want, "t5.last_hidden_state"), golden::tolerance::kText));
  EXPECT_EQ(trace.tensors().size(), 2u);
  for (const auto& [name, tensor] : trace.tensors()) {
    EXPECT_TRUE(close(tensor, get(want, name), golden::tolerance::kText)) << name;
  }
}

class T5OfOtherShape : public ::testing::TestWithParam<std::string> {};

TEST_P(T5OfOtherShape, AsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load(GetParam() + "/case.safetensors");
  const Tensor exact = get(want, "last_hidden_state");
  EXPECT_TRUE(
      close(load(GetParam()).forward(get(want, "input_ids")), exact, golden::tolerance::kMore));
}

// The error of half precision against f32 may be twice that of transformers at most.
TEST_P(T5OfOtherShape, InHalfPrecisionAboutAsTransformers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load(GetParam() + "/case.safetensors");
  const Tensor exact = get(want, "last_hidden_state");
  for (const auto& [name, dtype] : {std::pair{"bf16", at::kBFloat16}, {"f16", at::kHalf}}) {
    const Tensor got = load(GetParam(), {.compute = dtype}).forward(get(want, "input_ids"));
    EXPECT_EQ(got.scalar_type(), dtype);
    const double theirs = error(get(want, std::string(name) + ".last_hidden_state"), exact);
    RecordProperty(std::string(name) + "_error",
                   str(error(got, exact), " (transformers ", theirs, ")"));
    EXPECT_LE(error(got, exact), 2 * theirs) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(More, T5OfOtherShape,
                         ::testing::Values("more/t5_relu", "more/t5_gated_silu", "more/t5_gelu"),
                         [](const auto& info) { return info.param.substr(8); });

TEST(T5, MatricesKeptAsStoredGiveTheSame) {
  const c10::InferenceMode no_grad;
  const Tensor ids = get(golden::load("more/t5_relu/case.safetensors"), "input_ids");
  EXPECT_TRUE(golden::equal(load("more/t5_relu", {.keep_stored = true}).forward(ids),
                            load("more/t5_relu").forward(ids)));
}

TEST(T5, TheTableMayBeThereUnderBothNames) {
  const c10::InferenceMode no_grad;
  const std::string folder = "more/t5_relu";
  const Checkpoint one = Checkpoint::open(golden::path(folder));
  auto entries = one.entries();
  entries.emplace("encoder.embed_tokens.weight", one.entry("shared.weight"));
  entries.emplace("decoder.embed_tokens.weight", one.entry("shared.weight"));
  const JsonFile config(golden::path(folder + "/config.json"));
  const auto both = T5Encoder::load(Checkpoint("both", entries), config, {});
  const Tensor ids = get(golden::load(folder + "/case.safetensors"), "input_ids");
  EXPECT_TRUE(golden::equal(both.forward(ids), load(folder).forward(ids)));
}

TEST(T5, WrongIdsAreNamed) {
  const T5Encoder t5 = load("more/t5_gelu");
  const auto forward = [&](const Tensor& ids) {
    return error_of<UsageError>([&] { t5.forward(ids); });
  };
  EXPECT_EQ(forward(at::zeros({77}, at::kInt)), "input_ids: expected [N, L], got [77]");
  EXPECT_EQ(forward(at::zeros({2, 0}, at::kInt)), "input_ids: expected [N, L], got [2, 0]");
  EXPECT_EQ(forward(at::zeros({2, 3})), "input_ids: expected integers, got Float");
  EXPECT_EQ(forward({}), "input_ids: expected [N, L], got nothing");
  Tensor ids = at::zeros({2, 3}, at::kInt);
  ids[1][2] = 64;
  EXPECT_EQ(forward(ids),
            "input_ids[1, 2]: expected 0 ... 63 (the model's vocabulary), got 64. Do the tokenizer "
            "and the text encoder "
            "belong to the same model?");
  ids[0][1] = -1;
  EXPECT_TRUE(has(forward(ids), "input_ids[0, 1]: expected 0 ... 63"));
}

std::string config_error(const std::string& rest) {
  const std::string json =
      R"({"vocab_size": 64, "d_model": 8, "d_kv": 4, "num_layers": 1, "num_heads": 2, )" + rest +
      "}";
  return error_of<CheckpointError>(
      [&] { T5Config::from(JsonFile::parse(json, "t5/config.json")); });
}

TEST(T5Config, WrongValuesAreNamed) {
  EXPECT_TRUE(has(config_error(R"("d_fff": 8)"), "d_ff"));
  EXPECT_EQ(config_error(R"("d_ff": 0)"), "t5/config.json: 'd_ff' is 0, expected 1 ... 16777216");
  EXPECT_TRUE(has(config_error(R"("d_ff": 8, "feed_forward_proj": "gated-mish")"),
                  "t5/config.json: 'feed_forward_proj' is 'mish', expected one of relu, gelu"));
  EXPECT_TRUE(
      has(config_error(R"("d_ff": 8, "dense_act_fn": "mish")"), "'dense_act_fn' is 'mish'"));
  EXPECT_TRUE(has(config_error(R"("d_ff": 8, "relative_attention_num_buckets": 2)"),
                  "'relative_attention_num_buckets' is 2, expected at least 4"));
  EXPECT_TRUE(has(config_error(R"("d_ff": 8, "relative_attention_max_distance": 8)"),
                  "'relative_attention_max_distance' is 8, expected more than 8"));
  EXPECT_TRUE(
      has(config_error(R"("d_ff": 8, "model_type": "umt5")"), "'model_type' is umt5, expected t5"));
}

TEST(T5, CheckpointsThatDoNotFitAreNamed) {
  const JsonFile relu(golden::path("more/t5_relu/config.json"));
  const auto load_error = [&](const Checkpoint& checkpoint) {
    return error_of<CheckpointError>([&] { T5Encoder::load(checkpoint, relu, {}); });
  };
  EXPECT_TRUE(has(load_error(Checkpoint::open(golden::path("more/t5_gated_silu"))),
                  "encoder.embed_tokens.weight"));
  const Checkpoint whole = Checkpoint::open(golden::path("more/t5_relu"));
  EXPECT_TRUE(has(load_error(whole.renamed(
                      [](const std::string& name) { return name == "shared.weight" ? "" : name; })),
                  "encoder.embed_tokens.weight"));
  auto entries = whole.entries();
  entries.emplace("encoder.block.3.layer.0.layer_norm.weight",
                  whole.entry("encoder.block.2.layer.0.layer_norm.weight"));
  EXPECT_TRUE(
      has(load_error(Checkpoint("four", entries)), "encoder.block.3.layer.0.layer_norm.weight"));
}

TEST(T5, LoadsTheNanoModel) {
  const Path folder = Path(ICEDIT_SOURCE) / "models/nano/model/text_encoder_2";
  const c10::InferenceMode no_grad;
  const auto t5 = T5Encoder::load(Checkpoint::open(folder), JsonFile(folder / "config.json"),
                                  {.keep_stored = true});
  const Tensor hidden = t5.forward(at::arange(12, at::kInt).view({2, 6}));
  EXPECT_EQ(hidden.sizes(), (Shape{2, 6, 128}));
  EXPECT_EQ(hidden.scalar_type(), at::kFloat);
  EXPECT_TRUE(hidden.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace icedit
