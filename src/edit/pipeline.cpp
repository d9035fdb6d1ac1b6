#include "edit/pipeline.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "diffusion/denoise.h"
#include "diffusion/latents.h"
#include "edit/preview.h"

namespace icedit {
namespace {

void tell(const EditHooks& hooks, const std::string& stage) {
  if (hooks.stop) hooks.stop();
  if (hooks.on_stage) hooks.on_stage(stage);
}

bool keeps_detail(const EditRequest& request) {
  return request.source_size && request.keep_detail.value_or(true);
}

bool previews(const EditHooks& hooks) {
  return hooks.on_preview && hooks.preview_every > 0;
}

// Of each request: as it was given, or made now.
std::vector<PromptEmbeds> embeds_of(const std::vector<EditRequest>& requests,
                                    Residency& residency) {
  std::vector<Prompt> prompts;
  const int64_t usual = residency.files().defaults().max_sequence_length;
  for (const EditRequest& r : requests)
    if (!r.prompt_embeds)
      prompts.push_back({r.prefix + r.instruction, r.max_sequence_length.value_or(usual)});
  const std::vector<PromptEmbeds> made = encode_prompts(residency, prompts);
  std::vector<PromptEmbeds> embeds;
  auto next = made.begin();
  for (const EditRequest& r : requests)
    embeds.push_back(r.prompt_embeds ? *r.prompt_embeds : *next++);
  return embeds;
}

// A map for the previews of one picture. `masked`: the packed latents of its masked diptych, whose
// left half is known both as latents and as pixels.
LatentPreview fit_preview(const LatentPreview::Example& chart, const Tensor& masked,
                          const Image& diptych, int64_t h, int64_t w) {
  const Tensor left = unpack_latents(masked, h, w).narrow(3, 0, w / 2);
  return LatentPreview({chart, {left, crop(diptych, 0, 0, diptych.width / 2, diptych.height)}});
}

// latents [1, I, 64] of h x w -> the whole diptych.
Image decode(Residency& residency, const Tensor& latents, int64_t h, int64_t w) {
  const Tensor z = denormalise_latents(unpack_latents(latents, h, w), residency.vae_config());
  const Tensor decoded = residency.vae().decode(z);
  if (!at::isfinite(decoded).all().item<bool>()) {
    throw CheckpointError(
        residency.explain_not_finite("the decoded picture holds NaN or infinity"));
  }
  return postprocess_image(decoded);
}

}  // namespace

void check_speed(const EditRequest& r, const ModelDefaults& defaults) {
  check_speed(r.speed, r.solver, r.steps.value_or(defaults.num_inference_steps));
}

// What of a request is computed before the transformer is needed.
struct Editor::Prepared {
  Diptych diptych;
  Tensor mask;                    // [1, 1, H, W]
  AutoencoderKl::Moments masked;  // of what it leaves of the diptych
  PromptEmbeds prompt;
  int64_t h = 0, w = 0;                         // latent size of the diptych
  std::optional<LatentPreview::Example> chart;  // where previews by a linear map are wanted
  std::vector<Tensor> latents;                  // denoised, one a picture
  std::vector<SpeedFigures> speed;              // of each, where fewer calls were asked for
};

Editor::Editor(ModelFiles files, ResidencyOptions options)
    : own_(std::make_unique<Residency>(std::move(files), std::move(options))),
      residency_(*own_),
      scheduler_(SchedulerConfig::from(residency_.files().scheduler())) {}

Editor::Editor(Residency& residency)
    : residency_(residency), scheduler_(SchedulerConfig::from(residency_.files().scheduler())) {}

int Editor::token_pixels() const {
  return static_cast<int>(2 * residency_.vae_config().downscale());
}

Editor::Prepared Editor::prepare(const EditRequest& request) {
  const auto width = static_cast<int>(request.width.value_or(residency_.files().defaults().width));
  Prepared p;
  p.diptych = make_diptych(request.source, width, request.sizing, request.layout, token_pixels(),
                           request.mask ? &*request.mask : nullptr);
  const Tensor image = preprocess_image(p.diptych.image, token_pixels());
  p.mask = preprocess_mask(p.diptych.mask, token_pixels());
  p.masked = encode_masked(residency_, image, p.mask);
  p.h = p.masked.mean.size(2), p.w = p.masked.mean.size(3);
  return p;
}

Schedule Editor::schedule(const EditRequest& request, const Prepared& p) const {
  const ModelDefaults& defaults = residency_.files().defaults();
  // Of the size that was passed in, before the processor rounds it: that is what diffusers does.
  const int64_t tokens = image_tokens(p.diptych.image.height, p.diptych.image.width,
                                      residency_.vae_config().downscale());
  return make_schedule(scheduler_, request.steps.value_or(defaults.num_inference_steps), tokens);
}

// What the transformer is given for picture i of a request: [1, ...].
DenoiseInputs Editor::inputs(const EditRequest& request, const Prepared& p, int64_t i) const {
  const Precision& precision = residency_.precision();
  const VaeConfig& vae = residency_.vae_config();
  const uint64_t seed = request.batch_noise ? request.seed : request.seed + uint64_t(i);
  const int64_t count = request.batch_noise ? request.num_images : 1;
  const Draws draws =
      draw_noise(seed, count, vae.latent_channels, p.h, p.w, precision.noise, request.noise_order);
  const Tensor noise = draws.initial_noise.narrow(0, request.batch_noise ? i : 0, 1);
  DenoiseInputs in;
  in.initial_latents = pack_latents(noise).to(residency_.device(), precision.compute);
  in.conditioning = make_conditioning(p.masked, draws.vae_noise, p.mask, p.prompt, vae);
  in.sigmas = schedule(request, p).sigmas.to(residency_.device());
  in.guidance = request.guidance.value_or(residency_.files().defaults().guidance_scale);
  in.solver = request.solver;
  in.reuse_left = request.speed.reuse_left;
  in.limit = call_limit(request.speed, levels_per_latent_.value_or(1));
  return in;
}

void Editor::expect_finite(const Tensor& latents) const {
  if (at::isfinite(latents).all().item<bool>()) return;
  throw CheckpointError(residency_.explain_not_finite("the denoised latents hold NaN or infinity"));
}

// One picture after the other: the same numbers for any num_images, and no more memory.
void Editor::denoise_images(const EditRequest& request, Prepared& p, const EditHooks& hooks) {
  const FluxTransformer& model = residency_.transformer();
  for (int64_t i = 0; i < request.num_images; ++i) {
    const DenoiseInputs in = inputs(request, p, i);
    const int64_t steps = in.sigmas.size(0) - 1;
    std::optional<LatentPreview> linear;  // fitted only where it is asked for
    if (p.chart) {
      const Tensor masked = in.conditioning.condition.narrow(2, 0, in.initial_latents.size(2));
      linear = fit_preview(*p.chart, masked, p.diptych.image, p.h, p.w);
    }
    const auto on_step = [&](int64_t step, const Tensor&, const Tensor& guess) {
      if (hooks.on_step) hooks.on_step(i, step, steps);
      if (!previews(hooks) || (step + 1) % hooks.preview_every != 0) return;
      const Image picture = linear ? linear->picture(unpack_latents(guess, p.h, p.w))
                                   : decode(residency_, guess, p.h, p.w);
      hooks.on_preview(right_half(picture, {picture.width / 2, picture.height}, Sizing::kFit),
                       step);
    };
    const Denoised made =
        denoise(model, in, on_step, stopping(hooks.stop, residency_.around(Part::kTransformer)));
    expect_finite(made.latents);
    p.latents.push_back(made.latents);
    if (in.limit.any())
      p.speed.push_back(speed_figures(made.calls, steps, made.error, *levels_per_latent_));
  }
}

// The request behind the last that can be denoised together with `begin`.
size_t Editor::end_of_batch(const std::vector<EditRequest>& requests,
                            const std::vector<Prepared>& prepared, size_t begin,
                            const EditHooks& hooks) const {
  const bool previews = hooks.on_preview && hooks.preview_every > 0;
  size_t end = begin + 1;
  if (batch_ < 2 || previews || requests[begin].num_images != 1) return end;
  // Each picture finds its own calls.
  if (call_limit(requests[begin].speed, 1).any()) return end;
  const auto what_must_agree = [&](size_t i) {
    const EditRequest& r = requests[i];
    const Prepared& p = prepared[i];
    // The schedule hangs on the size before rounding.
    return std::tuple(p.h, p.w, p.diptych.half.width, p.diptych.half.height, denoising_of(r),
                      p.prompt.prompt_embeds.size(1), r.num_images, call_limit(r.speed, 1).any());
  };
  const size_t most = std::min(requests.size(), begin + static_cast<size_t>(batch_));
  while (end < most && what_must_agree(end) == what_must_agree(begin)) ++end;
  return end;
}

void Editor::denoise_together(std::span<const EditRequest> requests, std::span<Prepared> prepared,
                              const EditHooks& hooks) {
  std::vector<Tensor> noise;
  std::vector<Conditioning> conditioning;
  DenoiseInputs in;
  for (size_t k = 0; k < requests.size(); ++k) {
    in = inputs(requests[k], prepared[k], 0);
    noise.push_back(in.initial_latents);
    conditioning.push_back(in.conditioning);
  }
  in.initial_latents = at::cat(noise);
  in.conditioning = join(conditioning);
  const int64_t steps = in.sigmas.size(0) - 1;
  const auto on_step = [&](int64_t step, const Tensor&, const Tensor&) {
    if (hooks.on_step) hooks.on_step(0, step, steps);
  };
  const FluxTransformer& model = residency_.transformer();
  const AroundBlock around = stopping(hooks.stop, residency_.around(Part::kTransformer));
  const Tensor latents = denoise(model, in, on_step, around).latents;
  expect_finite(latents);
  for (size_t k = 0; k < prepared.size(); ++k)
    prepared[k].latents.push_back(latents.narrow(0, static_cast<int64_t>(k), 1));
}

// The edit's changes on the source's own pixels. Halves of the size at which the model works.
void Editor::keep_source_detail(const EditRequest& request, const Prepared& p,
                                const EditHooks& hooks, EditedImage& out) {
  tell(hooks, "keeping the photo's detail");
  const Image& both = out.diptych;
  const Image rounded = resize(p.diptych.image, both.width, both.height, Filter::kLanczos);
  const Image seen = crop(rounded, 0, 0, both.width / 2, both.height);
  // Not the diptych's own left half, which would cost nothing: the model paints that too
  // (docs/photographs.md has both).
  const Tensor pixels =
      preprocess_image(seen, static_cast<int>(residency_.vae_config().downscale()))
          .to(residency_.device(), residency_.precision().compute);
  const Tensor latents = residency_.vae().encode(pixels).mean;
  const Image reconstruction = postprocess_image(residency_.vae().decode(latents));
  DetailOptions options;
  options.tolerance = request.detail_tolerance.value_or(1);
  options.feather = request.feather;
  options.threads = at::get_num_threads();
  options.on_progress = [&](double) {
    if (hooks.stop) hooks.stop();
  };
  DetailedEdit kept = keep_detail(
      {request.source, seen, reconstruction, right_half(both, p.diptych.half, Sizing::kFit),
       request.mask ? &*request.mask : nullptr},
      options);
  out.image = std::move(kept.image);
  out.detail = EditedImage::Detail{std::move(kept.map), kept.figures};
}

// All of the edit, by Lanczos where it is to have the source's size.
void Editor::enlarge(const EditRequest& request, const Prepared& p, EditedImage& out) {
  out.image = right_half(out.diptych, p.diptych.half, request.sizing);
  const Image& source = request.source;
  if (request.source_size)
    out.image = resize(out.image, source.width, source.height, Filter::kLanczos);
  if (request.mask) {
    const int w = out.image.width, h = out.image.height;
    out.image = paste_outside(out.image, resize(source, w, h, Filter::kBicubic),
                              resize(*request.mask, w, h, Filter::kLanczos), request.feather);
  }
}

EditedImage Editor::finish(const EditRequest& request, const Prepared& p, int64_t i,
                           const EditHooks& hooks) {
  EditedImage out;
  out.colour_profile = request.colour_profile;
  out.seed = request.batch_noise ? request.seed : request.seed + uint64_t(i);
  if (!p.speed.empty()) out.speed = p.speed[size_t(i)];
  out.diptych = decode(residency_, p.latents[i], p.h, p.w);
  if (keeps_detail(request))
    keep_source_detail(request, p, hooks, out);
  else
    enlarge(request, p, out);
  if (!request.source_size) return out;
  if (request.region) out.image = put_back(request.photo, out.image, *request.region);
  if (!request.with_alpha.pixels.empty()) out.image = with_alpha_of(request.with_alpha, out.image);
  out.exif = request.exif;
  return out;
}

void Editor::check(const EditRequest& request) const {
  const Image& source = request.source;
  if (source.width < 1 || source.height < 1) throw UsageError("the picture has no pixels");
  if (source.channels != 3)
    throw UsageError(str("the picture has ", source.channels, " channels, expected 3 (RGB)"));
  if (only_space(request.instruction)) {
    throw UsageError(
        "the instruction is empty; say what is to be changed, as in \"make it winter\"");
  }
  if (request.num_images < 1)
    throw UsageError(str("num-images is ", request.num_images, ", expected at least 1"));
  if (request.feather < 0)
    throw UsageError(str("feather is ", request.feather, ", expected 0 or more pixels"));
  if (request.steps && *request.steps < 1)
    throw UsageError(str("steps is ", *request.steps, ", expected at least 1"));
  check_speed(request, residency_.files().defaults());
}

void Editor::edit(const std::vector<EditRequest>& requests, const EditHooks& hooks,
                  const std::function<void(size_t, std::vector<EditedImage>)>& on_done) {
  if (requests.empty()) return;
  const c10::InferenceMode inference;
  // Full previews need the VAE while the transformer is at work.
  const bool decodes_early = previews(hooks) && hooks.preview_full;
  if (decodes_early && residency_.keep() == Keep::kOne) residency_.set_keep(Keep::kImageParts);
  for (const EditRequest& request : requests) check(request);
  tell(hooks, "reading the instruction");
  const std::vector<PromptEmbeds> embeds = embeds_of(requests, residency_);

  std::vector<Prepared> prepared;
  tell(hooks, "encoding the picture");
  std::optional<LatentPreview::Example> chart;
  if (previews(hooks) && !hooks.preview_full) chart = encode_chart(residency_);
  const auto limited = [](const EditRequest& r) { return call_limit(r.speed, 1).any(); };
  if (!levels_per_latent_ && std::any_of(requests.begin(), requests.end(), limited))
    levels_per_latent_ = levels_per_latent(residency_);
  for (size_t i = 0; i < requests.size(); ++i) {
    prepared.push_back(prepare(requests[i]));
    prepared.back().prompt = embeds[i];
    prepared.back().chart = chart;
  }
  // With one component at a time every picture is denoised before the first is decoded; else each
  // is shown as it is done.
  const bool decode_last = residency_.keep() == Keep::kOne;
  const auto decode_one = [&](size_t i) {
    std::vector<EditedImage> images;
    for (int64_t k = 0; k < requests[i].num_images; ++k) {
      if (k == 0 || keeps_detail(requests[i])) tell(hooks, "decoding");
      images.push_back(finish(requests[i], prepared[i], k, hooks));
    }
    on_done(i, std::move(images));
  };
  for (size_t begin = 0, end = 0; begin < requests.size(); begin = end) {
    if (!residency_.is_loaded(Part::kTransformer)) {
      tell(hooks, "loading the transformer");
      residency_.transformer();
    }
    tell(hooks, kDenoisingStage);
    end = end_of_batch(requests, prepared, begin, hooks);
    if (end == begin + 1) {
      denoise_images(requests[begin], prepared[begin], hooks);
    } else {
      denoise_together(std::span(requests).subspan(begin, end - begin),
                       std::span(prepared).subspan(begin, end - begin), hooks);
    }
    for (size_t i = begin; !decode_last && i < end; ++i) decode_one(i);
  }
  for (size_t i = 0; decode_last && i < requests.size(); ++i) decode_one(i);
}

std::vector<EditedImage> Editor::edit(const EditRequest& request, const EditHooks& hooks) {
  std::vector<EditedImage> images;
  edit({request}, hooks, [&](size_t, std::vector<EditedImage> done) { images = std::move(done); });
  return images;
}

}  // namespace icedit
