// The transformer with its blocks' matrices in 8 bits.
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "flux_inputs.h"
#include "io/temporary_folder.h"
#include "models/flux/blocks.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

TEST(FluxInInt8, IsCloseToTheExactOne) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("transformer/forward.safetensors");
  const auto forward = [&](bool quantised) {
    LoadOptions options;
    options.quantises = may_be_quantised;
    if (quantised) options.quant = Quant::kInt8;
    const FluxTransformer model =
        FluxTransformer::load(Checkpoint::open(golden::path("tiny-fill/transformer")),
                              JsonFile(golden::path("tiny-fill/transformer/config.json")), options);
    return golden::forward(model, golden::flux_inputs(want));
  };
  const Tensor exact = forward(false), rounded = forward(true);
  const double error = ((rounded - exact).norm() / exact.norm()).item<double>();
  EXPECT_LT(error, 0.03);
  EXPECT_GT(error, 0.0005);
}

TEST(FluxInInt8, LeavesEmbeddersModulationsAndTheLastLayer) {
  for (const char* name :
       {"x_embedder", "context_embedder", "proj_out", "norm_out.linear",
        "time_text_embed.timestep_embedder.linear_1", "transformer_blocks.3.norm1.linear",
        "transformer_blocks.3.norm1_context.linear", "single_transformer_blocks.7.norm.linear"})
    EXPECT_FALSE(may_be_quantised(name)) << name;
  for (const char* name :
       {"transformer_blocks.3.attn.to_q", "transformer_blocks.3.attn.add_k_proj",
        "transformer_blocks.3.attn.to_out.0", "transformer_blocks.3.ff.net.2",
        "single_transformer_blocks.7.proj_mlp", "single_transformer_blocks.7.proj_out"})
    EXPECT_TRUE(may_be_quantised(name)) << name;
}

// Blocks of random weights whose inputs have some very large channels, as those of trained models
// do. ICEDIT_TEST_WIDTH=3072: at FLUX's width, with its number of tokens (a minute, 6 GB).
class BlocksInInt8 : public ::testing::Test {
 protected:
  static int64_t width() {
    const char* wanted = std::getenv("ICEDIT_TEST_WIDTH");
    return wanted == nullptr ? 384 : std::atoll(wanted);
  }

  BlocksInInt8() {
    config_.attention_head_dim = 128;
    config_.num_attention_heads = width_ / 128;
    const Tensor angles = at::rand({text_ + image_, 64}).mul_(6.28).repeat_interleave(2, 1);
    rope_ = {at::cos(angles), at::sin(angles), {}};
  }

  void add(const std::string& path, int64_t in, int64_t out) {
    tensors_.emplace_back(path + ".weight", at::randn({out, in}) / std::sqrt(double(in)));
    tensors_.emplace_back(path + ".bias", 0.1 * at::randn({out}));
  }
  void add_attention(const std::string& path, const std::vector<std::string>& projections,
                     const std::vector<std::string>& norms) {
    for (const auto& name : projections) add(path + name, width_, width_);
    for (const auto& name : norms)
      tensors_.emplace_back(path + name + ".weight", 1 + 0.1 * at::randn({128}));
  }
  Weights weights(bool in_8_bits) {
    const Path file = folder_.path() / "model.safetensors";
    save_tensors(file, tensors_);
    LoadOptions options;
    options.quantises = may_be_quantised;
    if (in_8_bits) options.quant = Quant::kInt8;
    return Weights(Checkpoint::open(file), options);
  }

  // One of a hundred channels is 20 times as large.
  Tensor input(int64_t tokens) const {
    const Tensor x = at::randn({1, tokens, width_});
    x.narrow(2, width_ / 3, std::max<int64_t>(1, width_ / 100)).mul_(20);
    return x;
  }
  Modulation modulation() const {
    const auto small = [&] { return 0.3 * at::randn({1, 1, width_}); };
    return {small(), small(), small() + 1};
  }
  static double cosine(const Tensor& some, const Tensor& other) {
    const Tensor a = some.to(at::kDouble), b = other.to(at::kDouble);
    return ((a * b).sum() / (a.norm() * b.norm())).item<double>();
  }

  const int64_t width_ = width(), text_ = width_ / 6, image_ = 4 * text_;
  FluxConfig config_;
  Rope rope_;
  TemporaryFolder folder_;
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

TEST_F(BlocksInInt8, ASingleOnesChangeHasTheDirectionOfTheExactOne) {
  const c10::InferenceMode no_grad;
  const std::string path = "single_transformer_blocks.0";
  add(path + ".norm.linear", width_, 3 * width_);
  add(path + ".proj_mlp", width_, 4 * width_);
  add(path + ".proj_out", 5 * width_, width_);
  add_attention(path + ".attn.", {"to_q", "to_k", "to_v"}, {"norm_q", "norm_k"});
  const Tensor x = input(text_ + image_);
  const Modulation m = modulation();
  const auto change = [&](bool in_8_bits) {
    const SingleBlock block(weights(in_8_bits) / "single_transformer_blocks" / "0", config_);
    return block.forward(x, m, rope_) - x;
  };
  const double cos = cosine(change(true), change(false));
  std::printf("cosine %.6f\n", cos);
  EXPECT_GE(cos, 0.999);
  EXPECT_LT(cos, 0.999999);
}

TEST_F(BlocksInInt8, ADoubleOnesToo) {
  const c10::InferenceMode no_grad;
  const std::string path = "transformer_blocks.0";
  for (const char* name : {".norm1.linear", ".norm1_context.linear"})
    add(path + name, width_, 6 * width_);
  for (const char* name : {".ff", ".ff_context"}) {
    add(path + name + ".net.0.proj", width_, 4 * width_);
    add(path + name + ".net.2", 4 * width_, width_);
  }
  add_attention(
      path + ".attn.",
      {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"},
      {"norm_q", "norm_k", "norm_added_q", "norm_added_k"});
  const Tensor txt = input(text_), img = input(image_);
  const DoubleModulation m{{modulation(), modulation()}, {modulation(), modulation()}};
  const auto changes = [&](bool in_8_bits) {
    const DoubleBlock block(weights(in_8_bits) / "transformer_blocks" / "0", config_);
    const auto [new_txt, new_img] = block.forward(txt, img, m, rope_);
    return std::pair(new_txt - txt, new_img - img);
  };
  const auto rounded = changes(true), exact = changes(false);
  for (const double cos :
       {cosine(rounded.first, exact.first), cosine(rounded.second, exact.second)}) {
    std::printf("cosine %.6f\n", cos);
    EXPECT_GE(cos, 0.999);
    EXPECT_LT(cos, 0.999999);
  }
}

}  // namespace
}  // namespace icedit
