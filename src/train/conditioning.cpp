#include "train/conditioning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "nn/checked_tensors.h"

namespace icedit {
namespace {

const Tensor& named(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [other, tensor] : tensors)
    if (other == name) return tensor;
  throw CheckpointError("a cached encoding has no '" + name + "'");
}

std::vector<std::string> prompts_of(const PreparedSample& sample, const RowRules& rules,
                                    double drop_text_prob) {
  std::vector<std::string> prompts;
  if (drop_text_prob < 1) {
    const size_t choices = rules.choose ? sample.instructions.size() : 1;
    for (size_t choice = 0; choice < choices; ++choice)
      prompts.push_back(description(rules, sample.instructions, {choice, false}));
  }
  if (drop_text_prob > 0) prompts.push_back(rules.dropped);
  return prompts;
}

// What the entries hang on, as far as it can be told without reading the pictures. Where the files
// were changed all the same, what is missing is encoded when it is asked for.
std::string name_of(const EditDataset& dataset) {
  const DatasetConfig& c = dataset.config();
  return str(dataset.size(), " rows, ", dataset.where(0), " to ", dataset.where(dataset.size() - 1),
             ", type ", int(c.type), ", ", c.condition_size, " ", c.target_size, " ", int(c.resize),
             ", crop ", c.crop_the_noise ? int(*c.crop_the_noise) : -1, ", drop ",
             c.drop_text_prob > 0, c.drop_text_prob < 1);
}

}  // namespace

int64_t text_tokens(const TrainConfig& config, const ModelFiles& model) {
  return config.max_sequence_length > 0 ? config.max_sequence_length
                                        : model.defaults().max_sequence_length;
}

Conditioner::Conditioner(Residency& residency, int64_t text_tokens, const CacheOptions& cache)
    : residency_(residency), text_tokens_(text_tokens), cache_(cache) {
  if (!cache_.on_disk()) return;
  const std::string compute = at::toString(residency.precision().compute);
  const auto weights = [&](Part part) { return weights_digest(residency.files().open(part)); };
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
  const std::string key = cache_.on() ? str(vae_, content_digest(image), content_digest(mask)) : "";
  const NamedTensors kept = cache_.get("picture", key, make);
  const auto get = [&](const char* name) { return named(kept, name).to(residency_.device()); };
  return {{get("whole.mean"), get("whole.logvar")}, {get("masked.mean"), get("masked.logvar")}};
}

// A dropped prompt is one space, which an edit would refuse: so not through encode_prompts.
PromptEmbeds Conditioner::text(const std::string& prompt) {
  const at::NoGradGuard no_grad;
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

void Conditioner::fill(const EditDataset& dataset, const Loader& loader, int64_t row) {
  // Of a row that cannot be read nothing: the loader will say so, and take another.
  const auto sample = if_readable([&] { return prepare(dataset, row, loader.half_sizes(row)); });
  if (!sample) return;
  const at::NoGradGuard no_grad;
  const Tensor image = to_unit_tensor(sample->diptych.image).unsqueeze(0);
  latent_shape(image);  // refuses
  picture(image, to_unit_tensor(sample->diptych.mask).unsqueeze(0));
  for (const std::string& prompt :
       prompts_of(*sample, dataset.rules(row), dataset.config().drop_text_prob))
    text(prompt);
}

void Conditioner::fill_cache(const EditDataset& dataset, const Loader& loader, Group& group,
                             bool worth_it, const std::vector<std::string>& more) {
  if (!cache_.on()) return;
  for (const std::string& prompt : more) text(prompt);
  const std::string what = str(vae_, readers_, text_tokens_, "\n", name_of(dataset));
  filled_ = cache_.has_all(what);
  if (group.all(filled_)) {
    if (group.is_first()) log::info("latents and embeddings are all in train.cache_dir");
    return all_made();
  }
  if (!worth_it) return;
  const bool shared = cache_.on_disk();
  const int64_t first = shared ? group.rank() : 0, step = shared ? group.size() : 1;
  std::optional<Progress> bar;
  if (group.is_first()) bar.emplace("encoding the data", dataset.size(), "pair");
  for (int64_t row = first; row < dataset.size(); row += step) {
    throw_if_interrupted();
    fill(dataset, loader, row);
    if (bar) bar->update(std::min(row + step, dataset.size()));
  }
  filled_ = group.all(!cache_.lost_some());
  if (group.is_first() && filled_) cache_.note_all(what);
  all_made();
}

void Conditioner::all_made() {
  made_in_filling_ = cache_.made();
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
