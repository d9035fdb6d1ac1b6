// The transformer with its blocks' matrices in 8 bits.
#include <c10/core/InferenceMode.h>

#include "flux_inputs.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

TEST(FluxInInt8, IsCloseToTheExactOne) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("transformer/forward.safetensors");
  const auto forward = [&](bool quantised) {
    LoadOptions options;
    if (quantised) options.quantises = may_be_quantised;
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

}  // namespace
}  // namespace icedit
