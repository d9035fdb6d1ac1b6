// What bf16 costs in accuracy, stage by stage: bench_precision MODEL [--lora PATH] [--picture FILE]
// [--width 96] [--steps 8] [--text 64] [--guidance X] [--threads 2]. Every stage runs in f32 and in
// bf16 on the f32 run's inputs; the last line compares whole edits, noise and all. One JSON object.
#include <c10/core/InferenceMode.h>

#include <cstdio>
#include <optional>

#include "diffusion/denoise.h"
#include "edit/pipeline.h"
#include "edit/threads.h"
#include "program.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, lora, picture = "assets/astronaut.jpg";
  int64_t width = 96, steps = 8, text = 64, threads = 2;
  std::optional<double> guidance;
};

Arguments parse(int argc, char** argv) {
  if (argc < 2) {
    throw UsageError(
        "usage: bench_precision MODEL [--lora PATH] [--picture FILE] [--width PIXELS] [--steps N] "
        "[--text TOKENS] [--guidance X] [--threads N]");
  }
  Arguments a;
  a.model = argv[1];
  std::string guidance;
  bench::parse_flags(argc, argv, 2,
                     {{{"--lora", &a.lora}, {"--picture", &a.picture}, {"--guidance", &guidance}},
                      {{"--width", &a.width},
                       {"--steps", &a.steps},
                       {"--text", &a.text},
                       {"--threads", &a.threads}}});
  if (!guidance.empty()) a.guidance = std::stod(guidance);
  return a;
}

constexpr const char* kInstruction = "make it winter";

struct Outputs {
  Tensor pooled, prompt_embeds, moments, velocity, latents, decoded, picture;
};

ResidencyOptions options_of(const Arguments& a, DtypeChoice dtype) {
  ResidencyOptions options;
  options.dtype = dtype;
  options.noise_dtype = at::kBFloat16;  // the same draws in both runs
  if (!a.lora.empty()) options.adapters.push_back({a.lora, 1.0});
  return options;
}

// In bf16 guidance times 1000 is rounded before it is embedded, by diffusers too: 50 becomes 49.92,
// which changes the output far more than all of bf16's arithmetic. Both runs get the rounded value,
// unless one is given.
double guidance_of(const Arguments& a, const ModelDefaults& defaults) {
  if (a.guidance) return *a.guidance;
  const Tensor half = at::full({}, defaults.guidance_scale, at::kBFloat16) * 1000;
  return half.item<double>() / 1000;
}

EditRequest request_of(const Arguments& a, const Image& source, double guidance) {
  EditRequest request;
  request.source = source;
  request.instruction = kInstruction;
  request.width = a.width;
  request.steps = a.steps;
  request.max_sequence_length = a.text;
  request.guidance = guidance;
  return request;
}

// `given`: the f32 run's outputs, which the stages after them read; the run's own where it is that
// run.
Outputs run(const Arguments& a, const Image& source, DtypeChoice choice, const Outputs* given) {
  Outputs out;
  const Outputs& from = given != nullptr ? *given : out;
  ModelRequest which;
  which.model = a.model;
  Editor editor(ModelFiles::find(which), options_of(a, choice));
  Residency& residency = editor.residency();
  const auto dtype = residency.precision().compute;
  const VaeConfig& vae = residency.vae_config();

  const auto embeds =
      encode_prompts(residency, {{str(kPromptPrefix, kInstruction), a.text}}).front();
  out.pooled = embeds.pooled_prompt_embeds;
  out.prompt_embeds = embeds.prompt_embeds;

  const int multiple = editor.token_pixels();
  const Diptych diptych =
      make_diptych(source, static_cast<int>(a.width), Sizing::kFit, Layout::kCopy, multiple);
  const Tensor image = preprocess_image(diptych.image, multiple);
  const Tensor mask = preprocess_mask(diptych.mask, multiple);
  AutoencoderKl::Moments masked = encode_masked(residency, image, mask);
  out.moments = masked.mean;
  masked.mean = from.moments.to(dtype);
  const int64_t h = masked.mean.size(2), w = masked.mean.size(3);
  const Draws draws =
      draw_noise(0, 1, vae.latent_channels, h, w, at::kBFloat16, NoiseOrder::kCurrent);

  const FluxTransformer& model = residency.transformer();
  DenoiseInputs in;
  // Without noise, the mean in place of a sample: logvar's error is no business of the steps
  // behind.
  in.conditioning = make_conditioning(masked, at::zeros_like(masked.mean), mask,
                                      {from.prompt_embeds, from.pooled}, vae);
  in.initial_latents = pack_latents(draws.initial_noise).to(dtype);
  in.sigmas =
      make_schedule(SchedulerConfig::from(residency.files().scheduler()), a.steps, h / 2 * (w / 2))
          .sigmas;
  in.guidance = guidance_of(a, residency.files().defaults());
  const Tensor t = at::full({1}, 0.5, at::kFloat).to(dtype);
  const Tensor guidance = at::full({1}, in.guidance, at::kFloat);
  out.velocity = model.forward(in.initial_latents, in.conditioning, t, guidance);
  out.latents = denoise(model, in).latents;

  const Tensor z = denormalise_latents(unpack_latents(from.latents.to(dtype), h, w), vae);
  out.decoded = residency.vae().decode(z);
  for (const Part part : kParts) residency.release(part);

  const Image edited = editor.edit(request_of(a, source, in.guidance)).front().image;
  out.picture = at::tensor(at::ArrayRef<uint8_t>(edited.pixels), at::kFloat);
  return out;
}

void print(const char* stage, const Tensor& half, const Tensor& full, const char* end) {
  const Tensor x = half.to(at::kDouble), y = full.to(at::kDouble);
  const double rms = ((x - y).norm() / y.norm()).item<double>();
  const double most = ((x - y).abs().max() / y.abs().max()).item<double>();
  std::printf("\"%s\": {\"relative_rms\": %.2e, \"max_of_max\": %.2e}%s", stage, rms, most, end);
}

void compare(const Arguments& a) {
  const Threads threads(a.threads);
  const c10::InferenceMode inference;
  const Image source = read_image(a.picture);
  const Outputs f32 = run(a, source, DtypeChoice::kF32, nullptr);
  const Outputs bf16 = run(a, source, DtypeChoice::kBF16, &f32);
  std::printf("{\"benchmark\": \"precision\", \"model\": \"%s\", \"width\": %ld, \"steps\": %ld, ",
              a.model.c_str(), a.width, a.steps);
  print("clip", bf16.pooled, f32.pooled, ", ");
  print("t5", bf16.prompt_embeds, f32.prompt_embeds, ", ");
  print("vae-encode", bf16.moments, f32.moments, ", ");
  print("transformer", bf16.velocity, f32.velocity, ", ");
  print("denoise", bf16.latents, f32.latents, ", ");
  print("vae-decode", bf16.decoded, f32.decoded, ", ");
  const Tensor off = (bf16.picture - f32.picture).abs();
  std::printf("\"edit\": {\"mean_levels\": %.2f, \"max_levels\": %.0f}}\n",
              off.mean().item<double>(), off.max().item<double>());
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] { compare(parse(argc, argv)); });
}
