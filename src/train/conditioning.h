#pragma once
// From a micro-batch's pictures and prompts to what the transformer is given, by the frozen VAE and
// text encoders.
#include <map>
#include <string>

#include "data/loader.h"
#include "edit/conditioning.h"
#include "train/objective.h"

namespace icedit {

class Conditioner {
 public:
  // `cache`: keeps what the encoders made of a picture or a prompt, by its content. Each picture
  // and prompt is encoded alone, so that results are the same with and without. `residency`
  // outlives this.
  Conditioner(Residency& residency, int64_t text_tokens, bool cache);

  // [B, c, h, w] of the latents of this batch's diptychs. Throws UsageError for pictures whose
  // sides are no multiples of a token's.
  Shape latent_shape(const Tensor& image) const;

  // image [B, 3, H, W] in 0..1, mask [B, 1, H, W] of 0 and 1.
  StepInputs encode(const Tensor& image, const Tensor& mask,
                    const std::vector<std::string>& prompts, const StepDraws& draws);

  size_t cached() const { return pictures_.size() + prompts_.size(); }

 private:
  struct Picture {
    AutoencoderKl::Moments whole, masked;  // [1, c, h, w] each
  };
  struct Text {
    Tensor prompt_embeds, pooled;  // [1, T, C_t5], [1, C_clip]
  };
  Picture picture(const Tensor& image, const Tensor& mask);
  Text text(const std::string& prompt);

  Residency& residency_;
  int64_t text_tokens_;
  bool cache_;
  std::map<std::string, Picture> pictures_;  // by the SHA-256 of the pixels and the mask
  std::map<std::string, Text> prompts_;
};

}  // namespace icedit
