#include "train/conditioning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"

namespace icedit {
namespace {

std::string content_of(const Tensor& tensor) {
  const Tensor whole = tensor.contiguous();
  return str(whole.sizes().vec(), " ",
             sha256({static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()}));
}

const Tensor& named(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [other, tensor] : tensors)
    if (other == name) return tensor;
  throw CheckpointError("a cached encoding has no '" + name + "'");
}

}  // namespace

Conditioner::Conditioner(Residency& residency, int64_t text_tokens, const CacheOptions& cache)
    : residency_(residency), text_tokens_(text_tokens), cache_(cache) {
  if (!cache_.on_disk()) return;
  const std::string compute = at::toString(residency.precision().compute);
  const auto weights = [&](Part part) { return weights_fingerprint(residency.files().open(part)); };
  vae_ = compute + weights(Part::kVae);
  readers_ = compute + weights(Part::kT5) + weights(Part::kClip);
}

Shape Conditioner::latent_shape(const Tensor& image) const {
  const VaeConfig& vae = residency_.vae_config();
  const int64_t f = vae.downscale(), token = 2 * f, h = image.size(2), w = image.size(3);
  if (h % token != 0 || w % token != 0)
    throw UsageError(str("the diptych is ", w, "x", h, " pixels, expected multiples of ", token,
                         "; set train.dataset.condition_size to a multiple of ", token));
  return {image.size(0), vae.latent_channels, h / f, w / f};
}

Conditioner::Picture Conditioner::picture(const Tensor& image, const Tensor& mask) {
  const auto make = [&]() -> NamedTensors {
    const Tensor x = image * 2 - 1;  // [1, 3, H, W] in -1..1
    const auto whole = residency_.vae().encode(x), masked = encode_masked(residency_, x, mask);
    return {{"whole.mean", whole.mean},
            {"whole.logvar", whole.logvar},
            {"masked.mean", masked.mean},
            {"masked.logvar", masked.logvar}};
  };
  const std::string key = cache_.on() ? str(vae_, content_of(image), content_of(mask)) : "";
  const NamedTensors kept = cache_.get("picture", key, make);
  const auto get = [&](const char* name) { return named(kept, name).to(residency_.device()); };
  return {{get("whole.mean"), get("whole.logvar")}, {get("masked.mean"), get("masked.logvar")}};
}

// A dropped prompt is one space, which an edit would refuse: so not through encode_prompts.
PromptEmbeds Conditioner::text(const std::string& prompt) {
  const auto make = [&]() -> NamedTensors {
    const Tensor pooled = clip_pooled(residency_, prompt);
    return {{"prompt_embeds", t5_states(residency_, prompt, text_tokens_)}, {"pooled", pooled}};
  };
  const NamedTensors kept = cache_.get("text", text_key(prompt), make);
  const auto get = [&](const char* name) { return named(kept, name).to(residency_.device()); };
  return {get("prompt_embeds"), get("pooled")};
}

// On disk by the tokens, so that another tokenizer gives another key.
std::string Conditioner::text_key(const std::string& prompt) {
  if (!cache_.on_disk()) return prompt;
  return str(readers_, text_tokens_, residency_.t5_tokenizer().encode(prompt),
             residency_.clip_tokenizer().encode(prompt));
}

void Conditioner::fill(const Tensor& image, const Tensor& mask,
                       const std::vector<std::string>& prompts) {
  const at::NoGradGuard no_grad;
  latent_shape(image);  // refuses
  picture(image, mask);
  for (const std::string& prompt : prompts) text(prompt);
}

bool Conditioner::was_filled(const std::string& name) {
  filled_ = cache_.has_all(str(vae_, readers_, text_tokens_, "\n", name));
  return filled_;
}

void Conditioner::end_filling(const std::string& name, bool whole, bool note) {
  filled_ = whole;
  made_in_filling_ = cache_.made();
  if (note && whole) cache_.note_all(str(vae_, readers_, text_tokens_, "\n", name));
  residency_.release_text();
  residency_.release(Part::kVae);
}

StepInputs Conditioner::encode(const Tensor& image, const Tensor& mask,
                               const std::vector<std::string>& prompts, const StepDraws& draws) {
  const at::NoGradGuard no_grad;
  const VaeConfig& vae = residency_.vae_config();
  latent_shape(image);  // refuses
  std::vector<Tensor> x_0;
  std::vector<Conditioning> conditioning;
  for (int64_t i = 0; i < image.size(0); ++i) {
    const auto of_row = [i](const Tensor& all) { return all.narrow(0, i, 1); };
    const Picture encoded = picture(of_row(image), of_row(mask));
    x_0.push_back(sample_latents(encoded.whole, of_row(draws.image_noise), vae));
    conditioning.push_back(make_conditioning(encoded.masked, of_row(draws.masked_noise),
                                             of_row(mask), text(prompts.at(size_t(i))), vae));
  }
  return {at::cat(x_0), join(conditioning)};
}

}  // namespace icedit
