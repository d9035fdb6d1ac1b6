#pragma once
// AutoencoderKL: pictures to latents and back (diffusers' config and tensor names).
#include <optional>

#include "base/tensor.h"
#include "models/configs.h"
#include "models/vae/coders.h"
#include "nn/trace.h"
#include "nn/weights.h"

namespace icedit {

class AutoencoderKl {
 public:
  // Of the posterior over latents, each [B, latent_channels, H/f, W/f], f = config().downscale().
  struct Moments {
    Tensor mean, logvar;  // logvar within [-30, 20]
  };

  // Throws CheckpointError for tensors that are missing or of another shape.
  AutoencoderKl(const Weights& w, const VaeConfig& config);
  // The same of a whole checkpoint; also throws for tensors that no part takes, and for a wrong
  // config.
  static AutoencoderKl load(const Checkpoint& checkpoint, const JsonFile& config,
                            const LoadOptions& options);

  // image [B, in_channels, H, W] in -1 ... 1, H and W at least f; rows and columns beyond a
  // multiple of f do not count. `trace` keeps encoder.conv_in, encoder.down_blocks.N,
  // encoder.mid_block. Throws UsageError for another shape.
  Moments encode(const Tensor& image, Trace* trace = nullptr) const;

  // latents [B, latent_channels, h, w] (denormalised) -> [B, out_channels, f h, f w], about -1 ...
  // 1, not clamped. `trace` keeps decoder.mid_block, decoder.up_blocks.N. Throws UsageError for
  // another shape.
  Tensor decode(const Tensor& latents, Trace* trace = nullptr) const;

  const VaeConfig& config() const { return config_; }

 private:
  VaeConfig config_;
  at::ScalarType compute_;
  at::Device device_;
  vae::Encoder encoder_;
  vae::Decoder decoder_;
  std::optional<Conv2d> quant_conv_, post_quant_conv_;
};

// mean + exp(logvar / 2) noise; noise of the moments' shape, standard normal.
Tensor sample(const AutoencoderKl::Moments& moments, const Tensor& noise);

Tensor normalise_latents(const Tensor& z, const VaeConfig& config);    // (z - shift) scale
Tensor denormalise_latents(const Tensor& z, const VaeConfig& config);  // z / scale + shift

}  // namespace icedit
