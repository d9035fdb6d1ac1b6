#pragma once
// From a micro-batch's pictures and prompts to what the transformer is given, by the frozen VAE and
// text encoders.
#include <string>

#include "data/loader.h"
#include "edit/conditioning.h"
#include "train/encoding_cache.h"
#include "train/objective.h"

namespace icedit {

class Conditioner {
 public:
  // Each picture and prompt is encoded alone, so that results are the same with and without a
  // cache. `residency` outlives this. Throws IoError: the cache's folder cannot be used.
  Conditioner(Residency& residency, int64_t text_tokens, const CacheOptions& cache);

  int64_t text_tokens() const { return text_tokens_; }
  // [B, c, h, w] of the latents of this batch's diptychs. Throws UsageError for pictures whose
  // sides are no multiples of a token's.
  Shape latent_shape(const Tensor& image) const;

  // image [B, 3, H, W] in 0..1, mask [B, 1, H, W] of 0 and 1.
  StepInputs encode(const Tensor& image, const Tensor& mask,
                    const std::vector<std::string>& prompts, const StepDraws& draws);

  const EncodingCache& cache() const { return cache_; }
  // Only puts them into the cache. image [1, 3, H, W], mask [1, 1, H, W].
  void fill(const Tensor& image, const Tensor& mask, const std::vector<std::string>& prompts);
  // All of the data `name` has gone through fill(), on all ranks together: the encoders are let go
  // of. `whole`: every entry could be kept; `note`: this is the rank that writes that down.
  void end_filling(const std::string& name, bool whole, bool note);
  // Whether an earlier run has done so.
  bool was_filled(const std::string& name);
  // Whether all is cached, and was found there so far.
  bool is_filled() const { return filled_ && cache_.made() == made_in_filling_; }

 private:
  struct Picture {
    AutoencoderKl::Moments whole, masked;  // [1, c, h, w] each
  };
  Picture picture(const Tensor& image, const Tensor& mask);
  PromptEmbeds text(const std::string& prompt);
  std::string text_key(const std::string& prompt);

  Residency& residency_;
  int64_t text_tokens_;
  EncodingCache cache_;
  std::string vae_, readers_;  // what an entry on disk hangs on beside its content
  bool filled_ = false;
  size_t made_in_filling_ = 0;
};

}  // namespace icedit
