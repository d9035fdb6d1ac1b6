// FluxFillPipeline.encode_prompt: CLIP's pooled vector and T5's hidden states of the same prompts.
#include <c10/core/InferenceMode.h>

#include "golden.h"
#include "models/clip/text_encoder.h"
#include "models/t5/encoder.h"

namespace icedit {
namespace {

template <class Model>
Model load(const std::string& folder) {
  return Model::load(Checkpoint::open(golden::path(folder)),
                     JsonFile(golden::path(folder + "/config.json")), {});
}

TEST(EncodePrompt, AsDiffusers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("text/encode_prompt.safetensors");
  const auto ids =
      golden::load("text/text.safetensors");  // of the same two prompts, then two others
  const Tensor prompt_embeds = load<T5Encoder>("tiny-fill/text_encoder_2")
                                   .forward(golden::get(ids, "t5.input_ids").slice(0, 0, 2));
  const Tensor pooled = load<ClipTextEncoder>("tiny-fill/text_encoder")
                            .forward(golden::get(ids, "clip.input_ids").slice(0, 0, 2))
                            .pooled;
  EXPECT_TRUE(
      golden::close(prompt_embeds, golden::get(want, "prompt_embeds"), golden::tolerance::kText));
  EXPECT_TRUE(
      golden::close(pooled, golden::get(want, "pooled_prompt_embeds"), golden::tolerance::kText));
}

TEST(EncodePrompt, APromptDoesNotDependOnItsBatch) {
  const c10::InferenceMode no_grad;
  const auto ids = golden::load("text/text.safetensors");
  const auto t5 = load<T5Encoder>("tiny-fill/text_encoder_2");
  const auto clip = load<ClipTextEncoder>("tiny-fill/text_encoder");
  const Tensor t5_ids = golden::get(ids, "t5.input_ids"),
               clip_ids = golden::get(ids, "clip.input_ids");
  for (int64_t i = 0; i < t5_ids.size(0); ++i) {
    const Tensor alone = t5.forward(t5_ids.slice(0, i, i + 1));
    EXPECT_TRUE(
        golden::close(alone, t5.forward(t5_ids).slice(0, i, i + 1), golden::tolerance::kText));
    const Tensor pooled = clip.forward(clip_ids.slice(0, i, i + 1)).pooled;
    EXPECT_TRUE(golden::close(pooled, clip.forward(clip_ids).pooled.slice(0, i, i + 1),
                              golden::tolerance::kText));
  }
}

}  // namespace
}  // namespace icedit
