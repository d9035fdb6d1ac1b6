#include "models/vae/autoencoder.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace icedit {
namespace {

void expect_features(const char* name, const Tensor& x, int64_t channels, int64_t least) {
  if (!x.defined()) throw UsageError(str(name, ": expected a tensor, got nothing"));
  const Shape shape = x.sizes().vec();
  const bool fits = shape.size() == 4 && shape[0] >= 1 && shape[1] == channels &&
                    shape[2] >= least && shape[3] >= least;
  if (!fits) {
    throw UsageError(str(name, ": expected [B, ", channels, ", H, W] with H and W at least ", least,
                         ", got ", shape));
  }
  if (!x.is_floating_point())
    throw UsageError(str(name, ": expected floating point, got ", at::toString(x.scalar_type())));
}

}  // namespace

AutoencoderKl::AutoencoderKl(const Weights& w, const VaeConfig& config)
    : config_(config),
      compute_(w.options().compute),
      device_(w.options().device),
      encoder_(w / "encoder", config),
      decoder_(w / "decoder", config) {
  const int64_t z = config.latent_channels;
  if (config.use_quant_conv) quant_conv_.emplace(w / "quant_conv", 2 * z, 2 * z, 1);
  if (config.use_post_quant_conv) post_quant_conv_.emplace(w / "post_quant_conv", z, z, 1);
}

AutoencoderKl AutoencoderKl::load(const Checkpoint& checkpoint, const JsonFile& config,
                                  const LoadOptions& options) {
  const Weights w(checkpoint, options);
  AutoencoderKl model(w, VaeConfig::from(config));
  w.expect_all_used();
  return model;
}

AutoencoderKl::Moments AutoencoderKl::encode(const Tensor& image, Trace* trace) const {
  expect_features("image", image, config_.in_channels, config_.downscale());
  Tensor moments = encoder_(image.to(device_, compute_), trace);
  if (quant_conv_) moments = (*quant_conv_)(moments);
  const std::vector<Tensor> halves = moments.chunk(2, /*dim=*/1);
  return {halves[0].contiguous(), halves[1].clamp(-30.0, 20.0).contiguous()};
}

Tensor AutoencoderKl::decode(const Tensor& latents, Trace* trace) const {
  expect_features("latents", latents, config_.latent_channels, 1);
  Tensor z = latents.to(device_, compute_);
  if (post_quant_conv_) z = (*post_quant_conv_)(z);
  return decoder_(std::move(z), trace).contiguous();
}

Tensor sample(const AutoencoderKl::Moments& moments, const Tensor& noise) {
  if (noise.sizes() != moments.mean.sizes()) {
    throw UsageError(
        str("noise: expected ", moments.mean.sizes().vec(), ", got ", noise.sizes().vec()));
  }
  const Tensor std = (0.5 * moments.logvar.clamp(-30.0, 20.0)).exp();
  return moments.mean + std * noise.to(std);
}

Tensor normalise_latents(const Tensor& z, const VaeConfig& config) {
  return (z - config.shift_factor) * config.scaling_factor;
}

Tensor denormalise_latents(const Tensor& z, const VaeConfig& config) {
  return z / config.scaling_factor + config.shift_factor;
}

}  // namespace icedit
