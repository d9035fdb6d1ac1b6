#pragma once
// What the denoiser is told: the instruction as embeddings, the picture as masked latents and a
// mask.
#include <string>
#include <vector>

#include "base/tensor.h"
#include "edit/diptych.h"
#include "edit/residency.h"

namespace icedit {

struct PromptEmbeds {
  Tensor prompt_embeds;         // [1, T, C_t5]
  Tensor pooled_prompt_embeds;  // [1, C_clip]
};

// Whether there is nothing to read in `text`.
bool only_space(const std::string& text);

// One text through one encoder, cut and padded to what it reads: CLIP's pooled vector [1, C_clip],
// T5's states [1, length, C_t5]. Any text: training drops prompts to a space.
Tensor clip_pooled(Residency& residency, const std::string& text);
Tensor t5_states(Residency& residency, const std::string& text, int64_t length);

struct Prompt {
  std::string text;  // prefix and all
  int64_t max_sequence_length = 512;
};

// All prompts through CLIP, then all through T5, but for those that are kept on disk
// (edit/prompt_cache.h). Warns of words that do not fit; throws UsageError
// for an empty one.
std::vector<PromptEmbeds> encode_prompts(Residency& residency, const std::vector<Prompt>& prompts);

// Draws of the pipeline, in its order. kCurrent: diffusers since 0.33: the unmasked picture's
// sample, the noise, the masked picture's sample; kEarly (0.32 and before, which ICEdit pins): the
// noise, the masked picture's sample.
enum class NoiseOrder { kCurrent, kEarly };

struct Draws {
  Tensor initial_noise;  // [N, C, h, w] in the noise dtype
  Tensor vae_noise;      // [1, C, h, w]: of the masked picture's sample
};
// `count` > 1 draws one [count, ...] noise, as diffusers does for num_images_per_prompt.
Draws draw_noise(uint64_t seed, int64_t count, int64_t channels, int64_t h, int64_t w,
                 at::ScalarType dtype, NoiseOrder order);

// image [1, 3, H, W] in -1..1, mask [1, 1, H, W] of 0 and 1 (may change). The moments may be kept
// to draw other samples from.
AutoencoderKl::Moments encode_masked(Residency& residency, const Tensor& image, const Tensor& mask);

// A sample, normalised and packed: [1, I, 64]. noise [1, C, h, w].
Tensor sample_latents(const AutoencoderKl::Moments& moments, const Tensor& noise,
                      const VaeConfig& vae);

// All that the denoiser is told of one picture, for editing and training alike; where and in the
// dtype in which `masked`, encode_masked's, is.
Conditioning make_conditioning(const AutoencoderKl::Moments& masked, const Tensor& noise,
                               const Tensor& mask, const PromptEmbeds& prompt,
                               const VaeConfig& vae);
// One batch of several, of one size and text length.
Conditioning join(const std::vector<Conditioning>& parts);

}  // namespace icedit
