#include "train/conditioning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "diffusion/latents.h"

namespace icedit {
namespace {

std::string bytes_of(const Tensor& tensor) {
  const Tensor whole = tensor.contiguous();
  return sha256({static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()});
}

// Looks `key` up, or makes it; keeps it when `keep`.
template <class Value, class Make>
Value found_or_made(std::map<std::string, Value>& held, const std::string& key, bool keep,
                    const Make& make) {
  const auto found = held.find(key);
  if (found != held.end()) return found->second;
  Value value = make();
  if (keep) held.emplace(key, value);
  return value;
}

}  // namespace

Conditioner::Conditioner(Residency& residency, int64_t text_tokens, bool cache)
    : residency_(residency), text_tokens_(text_tokens), cache_(cache) {}

Shape Conditioner::latent_shape(const Tensor& image) const {
  const VaeConfig& vae = residency_.vae_config();
  const int64_t f = vae.downscale(), token = 2 * f, h = image.size(2), w = image.size(3);
  if (h % token != 0 || w % token != 0)
    throw UsageError(str("the diptych is ", w, "x", h, " pixels, expected multiples of ", token,
                         "; set train.dataset.condition_size to a multiple of ", token));
  return {image.size(0), vae.latent_channels, h / f, w / f};
}

Conditioner::Picture Conditioner::picture(const Tensor& image, const Tensor& mask) {
  const std::string key = cache_ ? bytes_of(image) + bytes_of(mask) : "";
  return found_or_made(pictures_, key, cache_, [&] {
    const auto compute = residency_.precision().compute;
    const Tensor x = image * 2 - 1;  // [1, 3, H, W] in -1..1
    const auto encode = [&](const Tensor& pixels) {
      return residency_.vae().encode(pixels.to(residency_.device(), compute));
    };
    return Picture{encode(x), encode(x * (1 - mask))};
  });
}

// A dropped prompt is one space, which an edit would refuse: so not through encode_prompts.
Conditioner::Text Conditioner::text(const std::string& prompt) {
  return found_or_made(prompts_, prompt, cache_, [&] {
    const Tensor pooled = clip_pooled(residency_, prompt);
    return Text{t5_states(residency_, prompt, text_tokens_), pooled};
  });
}

StepInputs Conditioner::encode(const Tensor& image, const Tensor& mask,
                               const std::vector<std::string>& prompts, const StepDraws& draws) {
  const at::NoGradGuard no_grad;
  const auto compute = residency_.precision().compute;
  const VaeConfig& vae = residency_.vae_config();
  const Shape latents = latent_shape(image);
  const auto drawn = [&](const AutoencoderKl::Moments& moments, const Tensor& noise, int64_t i) {
    const Tensor n = noise.narrow(0, i, 1).to(residency_.device(), compute);
    return pack_latents(normalise_latents(sample(moments, n), vae));
  };
  std::vector<Tensor> x_0, masked, embeds, pooled;
  for (int64_t i = 0; i < latents[0]; ++i) {
    const Picture encoded = picture(image.narrow(0, i, 1), mask.narrow(0, i, 1));
    x_0.push_back(drawn(encoded.whole, draws.image_noise, i));
    masked.push_back(drawn(encoded.masked, draws.masked_noise, i));
    const Text read = text(prompts.at(size_t(i)));
    embeds.push_back(read.prompt_embeds);
    pooled.push_back(read.pooled);
  }
  const Tensor packed = pack_mask(mask, vae.downscale()).to(residency_.device(), compute);
  StepInputs in;
  in.x_0 = at::cat(x_0);
  in.condition = at::cat({at::cat(masked), packed}, 2);
  in.prompt_embeds = at::cat(embeds);
  in.pooled = at::cat(pooled);
  in.image_ids = image_ids(latents[2], latents[3]).to(residency_.device());
  in.text_ids = text_ids(text_tokens_).to(residency_.device());
  return in;
}

}  // namespace icedit
