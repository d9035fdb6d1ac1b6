#include "edit/conditioning.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "diffusion/latents.h"
#include "edit/prompt_cache.h"

namespace icedit {
namespace {

constexpr int64_t kClipTokens = 77;

Tensor ids_tensor(const std::vector<int32_t>& ids, at::Device device) {
  return at::tensor(ids, at::kInt).to(at::kLong).unsqueeze(0).to(device);
}

// The beginning, up to a space, of a text that is too long for a message.
std::string beginning(const std::string& text) {
  constexpr size_t kMost = 60;
  if (text.size() <= kMost) return text;
  size_t end = text.rfind(' ', kMost);
  if (end == std::string::npos || end == 0) {
    end = kMost;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // UTF-8
  }
  return text.substr(0, end) + " ...";
}

template <class Tokenizer>
void warn_of_cut(const Tokenizer& tokenizer, const std::string& prompt, int64_t length,
                 const char* reader, const char* remedy) {
  const std::vector<int32_t> all = tokenizer.encode(prompt);
  const auto tokens = static_cast<int64_t>(all.size());
  if (tokens <= length) return;
  const std::vector<int32_t> cut(all.begin() + (length - 1),
                                 all.end() - 1);  // the last one is the end token
  log::warn(str("the instruction is ", tokens, " tokens with its prefix, ", reader, " reads ",
                length, "; it does not see '", beginning(tokenizer.decode(cut)), "'", remedy));
}

void check(Residency& residency, const Prompt& prompt) {
  const int64_t length = prompt.max_sequence_length;
  if (length < 1 || length > kMostTokens) {
    throw UsageError(
        str("max_sequence_length is ", length, ", expected 1 to ", kMostTokens, " T5 tokens"));
  }
  if (only_space(prompt.text)) throw UsageError("the prompt is empty; say what is to be changed");
  warn_of_cut(residency.t5_tokenizer(), prompt.text, length, "T5",
              length < kMostTokens ? " (--max-sequence-length raises the limit)" : "");
  // CLIP gives only the pooled vector; T5 carries the words.
  warn_of_cut(residency.clip_tokenizer(), prompt.text, kClipTokens, "CLIP", "");
}

}  // namespace

bool only_space(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isspace(c) != 0; });
}

Tensor clip_pooled(Residency& residency, const std::string& text) {
  const auto ids = residency.clip_tokenizer().encode(text, kClipTokens);
  return residency.clip().forward(ids_tensor(ids, residency.device())).pooled;
}

Tensor t5_states(Residency& residency, const std::string& text, int64_t length) {
  const auto ids = residency.t5_tokenizer().encode(text, length);
  return residency.t5().forward(ids_tensor(ids, residency.device()), nullptr,
                                residency.around(Part::kT5));
}

std::vector<PromptEmbeds> encode_prompts(Residency& residency, const std::vector<Prompt>& prompts) {
  for (const Prompt& prompt : prompts) check(residency, prompt);
  std::vector<PromptEmbeds> embeds(prompts.size());
  const auto same_as = [&](size_t i) {  // an earlier prompt that is the same, or i
    size_t j = 0;
    while (prompts[j].text != prompts[i].text ||
           prompts[j].max_sequence_length != prompts[i].max_sequence_length)
      ++j;
    return j;
  };
  const PromptCache cache(residency);
  std::vector<size_t> to_make;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (same_as(i) != i) continue;
    if (std::optional<PromptEmbeds> found = cache.find(prompts[i]))
      embeds[i] = std::move(*found);
    else
      to_make.push_back(i);
  }
  for (const size_t i : to_make)
    embeds[i].pooled_prompt_embeds = clip_pooled(residency, prompts[i].text);
  for (const size_t i : to_make) {
    embeds[i].prompt_embeds = t5_states(residency, prompts[i].text, prompts[i].max_sequence_length);
    cache.keep(prompts[i], embeds[i]);
  }
  for (size_t i = 0; i < prompts.size(); ++i) embeds[i] = embeds[same_as(i)];
  return embeds;
}

Draws draw_noise(uint64_t seed, int64_t count, int64_t channels, int64_t h, int64_t w,
                 at::ScalarType dtype, NoiseOrder order) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto draw = [&](int64_t n) { return at::randn({n, channels, h, w}, generator, dtype); };
  // The unmasked picture's latents have no weight at strength 1 (sigma starts at 1): only their
  // draw matters.
  if (order == NoiseOrder::kCurrent) draw(1);
  Draws draws;
  draws.initial_noise = draw(count);
  draws.vae_noise = draw(1);
  return draws;
}

AutoencoderKl::Moments encode_masked(Residency& residency, const Tensor& image,
                                     const Tensor& mask) {
  return residency.vae().encode(image * (1 - mask));
}

Tensor sample_latents(const AutoencoderKl::Moments& moments, const Tensor& noise,
                      const VaeConfig& vae) {
  const Tensor z = sample(moments, noise.to(moments.mean.options()));
  return pack_latents(normalise_latents(z, vae));
}

Conditioning make_conditioning(const AutoencoderKl::Moments& masked, const Tensor& noise,
                               const Tensor& mask, const PromptEmbeds& prompt,
                               const VaeConfig& vae) {
  const auto like = masked.mean.options();
  const Tensor packed_mask = pack_mask(mask, vae.downscale()).to(like);
  Conditioning c;
  c.condition = at::cat({sample_latents(masked, noise, vae), packed_mask}, 2);
  c.prompt_embeds = prompt.prompt_embeds.to(like);
  c.pooled_prompt_embeds = prompt.pooled_prompt_embeds.to(like);
  c.image_ids = image_ids(masked.mean.size(2), masked.mean.size(3)).to(like.device());
  c.text_ids = text_ids(c.prompt_embeds.size(1)).to(like.device());
  return c;
}

Conditioning join(const std::vector<Conditioning>& parts) {
  const auto all = [&](Tensor Conditioning::*member) {
    Tensors tensors;
    for (const Conditioning& part : parts) tensors.push_back(part.*member);
    return at::cat(tensors);
  };
  return {all(&Conditioning::condition), all(&Conditioning::prompt_embeds),
          all(&Conditioning::pooled_prompt_embeds), parts.front().image_ids,
          parts.front().text_ids};
}

}  // namespace icedit
