#pragma once
// From a micro-batch's pictures and prompts to what the transformer is given, by the frozen VAE and
// text encoders.
#include <string>

#include "dist/group.h"
#include "edit/conditioning.h"
#include "train/config.h"
#include "train/encoding_cache.h"

namespace icedit {

// T5 tokens of a prompt: the configuration's, or else the model's own.
int64_t text_tokens(const TrainConfig& config, const ModelFiles& model);

class Conditioner {
 public:
  // Each picture and prompt is encoded alone, so that results are the same with and without a
  // cache. `residency` outlives this. Throws IoError: the cache's folder cannot be used.
  Conditioner(Residency& residency, int64_t text_tokens, const CacheOptions& cache);

  const EncodingCache& cache() const { return cache_; }
  // [B, c, h, w] of the latents of this batch's diptychs. Throws UsageError for pictures whose
  // sides are no multiples of a token's.
  Shape latent_shape(const Tensor& image) const;

  // image [B, 3, H, W] in 0..1, mask [B, 1, H, W] of 0 and 1.
  StepInputs encode(const Tensor& image, const Tensor& mask,
                    const std::vector<std::string>& prompts, const StepDraws& draws);

  // Puts every readable pair of the data and every prompt that may be drawn for it into the cache,
  // where there is one, and `more` prompts; shows progress, and lets go of the encoders. With a
  // cache on disk the ranks share the work. The data's are left where an earlier run has done it,
  // and where it is not `worth_it`, the run being too short. Throws Interrupted, PeerError.
  void fill_cache(const EditDataset& dataset, const Loader& loader, Group& group, bool worth_it,
                  const std::vector<std::string>& more);
  // From the cache, or encoded now.
  PromptEmbeds text(const std::string& prompt);
  // Whether all is cached, and was found there so far.
  bool is_filled() const { return filled_ && cache_.made() == made_in_filling_; }

 private:
  struct Picture {
    AutoencoderKl::Moments whole, masked;  // [1, c, h, w] each
  };
  Picture picture(const Tensor& image, const Tensor& mask);
  std::string text_key(const std::string& prompt);
  void fill(const EditDataset& dataset, const Loader& loader, int64_t row);
  void all_made();

  Residency& residency_;
  int64_t text_tokens_;
  EncodingCache cache_;
  std::string vae_, readers_;  // what an entry on disk hangs on beside its content
  bool filled_ = false;
  size_t made_in_filling_ = 0;
};

}  // namespace icedit
