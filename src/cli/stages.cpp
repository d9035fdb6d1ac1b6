#include "cli/stages.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "diffusion/denoise.h"
#include "diffusion/schedule.h"
#include "edit/detail/detail.h"
#include "io/hub.h"
#include "io/utf8.h"
#include "models/flux/traced.h"
#include "nn/check.h"
#include "nn/trace.h"
#include "train/objective.h"

namespace icedit::cli {
namespace {

Residency open_model(const StageOptions& options) {
  const ModelFiles files = ModelFiles::find(options.model.request);
  ResidencyOptions residency = residency_options(options.model, files);
  // A stage runs what it is given: the model's own adapter only comes when it is named, and one
  // that does nothing is no error.
  residency.adapters = options.model.adapters;
  residency.allow_zero_adapters = true;
  return Residency(files, residency);
}

// Where and in which dtype the model computes; whole numbers only change place.
Tensor placed(const Tensor& tensor, const Residency& r) {
  return tensor.is_floating_point() ? tensor.to(r.device(), r.precision().compute)
                                    : tensor.to(r.device());
}

// Ids, sigmas and timesteps stay in f32 whatever the model's dtype.
Tensor placed_f32(const Tensor& tensor, const Residency& r) {
  return tensor.to(r.device(), at::kFloat);
}

Conditioning placed(const Conditioning& c, const Residency& r) {
  return {placed(c.condition, r), placed(c.prompt_embeds, r), placed(c.pooled_prompt_embeds, r),
          placed_f32(c.image_ids, r), placed_f32(c.text_ids, r)};
}

void append(NamedTensors& to, const Trace& trace, const std::string& prefix) {
  for (const auto& [name, tensor] : trace.tensors()) {
    to.emplace_back(name.starts_with("rope.") ? name : prefix + name, tensor);  // as in the goldens
  }
}

template <class Tokenizer>
Tensor token_ids(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                 int64_t length) {
  std::vector<Tensor> rows;
  for (const std::string& text : texts)
    rows.push_back(at::tensor(tokenizer.encode(text, length), at::kInt));
  return at::stack(rows);
}

std::vector<std::string> read_texts(const std::string& file) {
  if (file.empty())
    throw UsageError("stage tokenize reads its texts from --text strings.json, a JSON array");
  const std::string text = read_file(file);
  expect_utf8(text, file);
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool good =
      json.is_array() && !json.empty() &&
      std::all_of(json.begin(), json.end(), [](const auto& text) { return text.is_string(); });
  if (!good)
    throw DataError(str(file, ": expected a JSON array of texts, as in [\"a cat\", \"a dog\"]"));
  return json.get<std::vector<std::string>>();
}

NamedTensors tokenize(const StageOptions& options) {
  const std::vector<std::string> texts = read_texts(options.text);
  const ModelFiles files = ModelFiles::find(options.model.request);
  return {
      {"clip.input_ids", token_ids(ClipTokenizer(files.tokenizer()), texts, options.clip_length)},
      {"t5.input_ids", token_ids(T5Tokenizer(files.tokenizer_2()), texts, options.t5_length)}};
}

// `forward(model, ids, trace)` gives the outputs.
template <class Forward>
NamedTensors encode_text(const StageOptions& options, const std::string& name, Forward forward) {
  const StageInput in(options.in);
  const Tensor ids = in.get(name + ".input_ids");
  Residency model = open_model(options);
  Trace trace;
  NamedTensors tensors = forward(model, placed(ids, model), options.all ? &trace : nullptr);
  append(tensors, trace, "");
  return tensors;
}

NamedTensors clip(const StageOptions& options) {
  return encode_text(options, "clip", [](Residency& model, const Tensor& ids, Trace* trace) {
    const ClipOutput out = model.clip().forward(ids, trace);
    return NamedTensors{{"clip.last_hidden_state", out.last_hidden_state},
                        {"clip.pooled", out.pooled}};
  });
}

NamedTensors t5(const StageOptions& options) {
  return encode_text(options, "t5", [](Residency& model, const Tensor& ids, Trace* trace) {
    return NamedTensors{{"t5.last_hidden_state", model.t5().forward(ids, trace)}};
  });
}

NamedTensors vae_encode(const StageOptions& options) {
  const StageInput in(options.in);
  const Tensor input = in.get("input"), noise = in.find("noise");
  Residency model = open_model(options);
  Trace trace;
  const auto moments = model.vae().encode(placed(input, model), options.all ? &trace : nullptr);
  NamedTensors tensors = {{"mean", moments.mean}, {"logvar", moments.logvar}};
  if (noise.defined()) {
    check_shape("noise", noise, moments.mean.sizes().vec());
    tensors.emplace_back("sample", sample(moments, placed(noise, model)));
  }
  const Tensor latents = noise.defined() ? tensors.back().second : moments.mean;
  tensors.emplace_back("normalised", normalise_latents(latents, model.vae_config()));
  append(tensors, trace, "");
  return tensors;
}

// [B, 3, H, W] about -1 ... 1 -> [B, H, W, 3], rounded half to even.
Tensor to_bytes(const Tensor& decoded) {
  const Tensor unit = (decoded.to(at::kFloat) * 0.5 + 0.5).clamp(0, 1);
  return unit.mul(255).round().to(at::kByte).permute({0, 2, 3, 1}).contiguous();
}

NamedTensors vae_decode(const StageOptions& options) {
  const StageInput in(options.in);
  const Tensor latents = in.get("latents");
  Residency model = open_model(options);
  Trace trace;
  const Tensor z = denormalise_latents(placed(latents, model), model.vae_config());
  const Tensor decoded = model.vae().decode(z, options.all ? &trace : nullptr);
  NamedTensors tensors = {{"decoded", decoded}, {"decoded_uint8", to_bytes(decoded)}};
  append(tensors, trace, "");
  return tensors;
}

NamedTensors schedule(const StageOptions& options) {
  if (options.height < 1 || options.width < 1) {
    throw UsageError(
        "stage schedule needs --height and --width: the size of the whole diptych, in pixels");
  }
  const ModelFiles files = ModelFiles::find(options.model.request);
  const int64_t downscale = VaeConfig::from(files.open(Part::kVae).config).downscale();
  const int64_t steps = options.steps.value_or(files.defaults().num_inference_steps);
  const int64_t tokens = image_tokens(options.height, options.width, downscale);
  const Schedule made = make_schedule(SchedulerConfig::from(files.scheduler()), steps, tokens);
  return {{"sigmas", made.sigmas}, {"timesteps", made.timesteps}};
}

NamedTensors transformer(const StageOptions& options) {
  const StageInput in(options.in);
  const Tensor both = in.get("input.hidden_states");  // x, then the condition
  Conditioning c;
  c.prompt_embeds = in.get("input.encoder_hidden_states");
  c.pooled_prompt_embeds = in.get("input.pooled_projections");
  Tensor t = in.get("input.timestep");
  c.image_ids = in.get("input.img_ids");
  c.text_ids = in.get("input.txt_ids");
  Residency model = open_model(options);
  const FluxTransformer& flux = model.transformer();
  const FluxConfig& config = flux.config();
  Tensor guidance;
  if (config.guidance_embeds) guidance = placed_f32(in.get("input.guidance"), model);
  check_shape("hidden_states", both, {-1, -1, config.in_channels});
  const auto parts = both.split({config.out_channels, config.in_channels - config.out_channels}, 2);
  const Tensor x = placed(parts[0], model);
  c.condition = parts[1];
  c = placed(c, model);
  t = placed_f32(t, model);
  if (!options.all) return {{"out.output", flux.forward(x, c, t, guidance)}};
  Trace trace;
  traced_forward(flux, x, c, t, guidance, trace);
  NamedTensors tensors;
  append(tensors, trace, "out.");
  return tensors;
}

NamedTensors denoise_stage(const StageOptions& options) {
  const StageInput in(options.in);
  DenoiseInputs inputs;
  Conditioning& c = inputs.conditioning;
  inputs.initial_latents = in.get("initial_latents");
  c.prompt_embeds = in.get("prompt_embeds");
  c.pooled_prompt_embeds = in.get("pooled_prompt_embeds");
  const Tensor masked = in.get("masked_latents"), mask = in.get("packed_mask");
  c.image_ids = in.get("image_ids");
  c.text_ids = in.get("text_ids");
  inputs.sigmas = in.get("sigmas");
  check_shape("initial_latents", inputs.initial_latents, {-1, -1, -1});
  const int64_t batch = inputs.initial_latents.size(0), tokens = inputs.initial_latents.size(1);
  check_shape("masked_latents", masked, {batch, tokens, -1});
  check_shape("packed_mask", mask, {batch, tokens, -1});

  Residency model = open_model(options);
  const FluxTransformer& flux = model.transformer();
  c.condition = at::cat({placed(masked, model), placed(mask.to(at::kFloat), model)}, 2);
  c = placed(c, model);
  inputs.initial_latents = placed(inputs.initial_latents, model);
  inputs.sigmas = placed_f32(inputs.sigmas, model);
  inputs.guidance = options.guidance.value_or(model.files().defaults().guidance_scale);
  NamedTensors tensors;
  Progress bar("denoising", inputs.sigmas.size(0) - 1, "step");
  denoise(flux, inputs, [&](int64_t step, const Tensor& latents, const Tensor&) {
    tensors.emplace_back(str("latents.", step + 1), latents);
    bar.update(step + 1);
  });
  return tensors;
}

// [H, W, 3] or, grey, [H, W], uint8.
Image picture(const StageInput& in, const std::string& name, bool grey = false) {
  const Tensor tensor = in.get(name).contiguous();
  if (tensor.scalar_type() != at::kByte)
    throw DataError(str(in.file(), ": tensor '", name, "' is ",
                        dtype_name(dtype_of(tensor.scalar_type())), ", expected uint8, 0 ... 255"));
  check_shape(name, tensor, grey ? std::vector<int64_t>{-1, -1} : std::vector<int64_t>{-1, -1, 3});
  Image image(static_cast<int>(tensor.size(1)), static_cast<int>(tensor.size(0)), grey ? 1 : 3);
  std::copy_n(tensor.const_data_ptr<uint8_t>(), image.pixels.size(), image.pixels.data());
  return image;
}

Tensor bytes_of(const Image& image) {
  Tensor tensor = at::empty({image.height, image.width, image.channels}, at::kByte);
  std::copy_n(image.pixels.data(), image.pixels.size(), tensor.data_ptr<uint8_t>());
  return image.channels == 1 ? tensor.squeeze(2) : tensor;
}

NamedTensors detail(const StageOptions& options) {
  const StageInput in(options.in);
  const Image original = picture(in, "original"), source = picture(in, "source"),
              reconstruction = picture(in, "reconstruction"), edit = picture(in, "edit");
  std::optional<Image> mask;
  if (in.find("mask").defined()) mask = picture(in, "mask", /*grey=*/true);
  DetailOptions how;
  how.tolerance = options.tolerance;
  how.threads = at::get_num_threads();
  Progress bar("keeping detail", 100, "%");
  how.on_progress = [&](double done) {
    throw_if_interrupted();
    bar.update(std::lround(100 * done));
  };
  const DetailedEdit made =
      keep_detail({original, source, reconstruction, edit, mask ? &*mask : nullptr}, how);
  const DetailFigures& f = made.figures;
  return {{"result", bytes_of(made.image)},
          {"map", bytes_of(made.map)},
          {"registration", at::tensor({f.shift_x, f.shift_y, f.zoom, f.bend}, at::kDouble)},
          {"percent", at::tensor({f.kept, f.colour, f.content}, at::kDouble)}};
}

// The only stage that computes gradients: of every tensor of the adapter.
NamedTensors train_step(const StageOptions& options) {
  const c10::InferenceMode off(false);
  if (options.model.adapters.size() != 1)
    throw UsageError("stage train-step trains one adapter: give it with --lora PATH");
  const StageInput in(options.in);
  StageOptions bare = options;
  bare.model.adapters.clear();
  Residency model = open_model(bare);
  FluxTransformer& flux = model.transformer();
  AttachOptions attach;
  attach.trainable = attach.allow_zero = true;
  const AdapterRequest& request = options.model.adapters.front();
  attach.scale = request.scale;
  const LoadedAdapter adapter = attach_adapter(
      flux.linears(), AdapterFile::open(resolve_path_or_id(request.path, "--lora")), attach);
  const StepInputs inputs = {placed_f32(in.get("x_0"), model),
                             placed({in.get("condition"), in.get("prompt_embeds"), in.get("pooled"),
                                     in.get("image_ids"), in.get("text_ids")},
                                    model)};
  const Tensor t = placed_f32(in.get("t"), model), x_1 = placed_f32(in.get("x_1"), model);
  check_shape("x_0", inputs.x_0, {-1, -1, flux.config().out_channels});
  check_shape("x_1", x_1, inputs.x_0.sizes().vec());
  check_shape("t", t, {inputs.x_0.size(0)});
  check_shape("condition", inputs.conditioning.condition, {x_1.size(0), x_1.size(1), -1});
  const StepOutput out = objective(flux, inputs, t, x_1);
  out.loss.backward();
  NamedTensors tensors = {{"pred", out.pred.detach()}, {"loss", out.loss.detach()}};
  for (const auto& [name, tensor] : adapter.tensors())
    tensors.emplace_back("grad." + name, tensor.grad());
  return tensors;
}

}  // namespace

StageInput::StageInput(const std::string& file) : file_(file) {
  for (auto& [name, tensor] : load_tensors(file)) tensors_.emplace(name, tensor);
}

Tensor StageInput::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? Tensor() : found->second;
}

Tensor StageInput::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [other, tensor] : tensors_) {
    if (names.size() < 12) names.push_back(other);
  }
  throw DataError(str(file_, ": tensor '", name, "' is missing; there are ", tensors_.size(), ": ",
                      names, tensors_.size() > names.size() ? " and more" : ""));
}

const std::vector<Stage>& stages() {
  static const std::vector<Stage> all = {
      {"tokenize", "--text strings.json", "clip.input_ids, t5.input_ids [N, L] int32", false,
       tokenize},
      {"clip", "clip.input_ids", "clip.last_hidden_state, clip.pooled", true, clip},
      {"t5", "t5.input_ids", "t5.last_hidden_state", true, t5},
      {"vae-encode", "input [B, 3, H, W], noise (optional)",
       "mean, logvar, sample (with noise), normalised", true, vae_encode},
      {"vae-decode", "latents (normalised)", "decoded, decoded_uint8 [B, H, W, 3]", true,
       vae_decode},
      {"schedule", "--height --width --steps", "sigmas, timesteps", false, schedule},
      {"transformer", "input.hidden_states and the other inputs",
       "out.output; every intermediate with --all", true, transformer},
      {"denoise",
       "initial_latents, prompt_embeds, pooled_prompt_embeds, masked_latents, packed_mask, "
       "image_ids, text_ids, sigmas",
       "latents.N after step N", true, denoise_stage},
      {"detail",
       "original [H, W, 3], source, reconstruction, edit [h, w, 3], mask [H, W] (optional), uint8; "
       "--tolerance",
       "result [H, W, 3], map [h, w]: 0 kept, 128 colour, 255 content; registration: shift x, y, "
       "zoom, bend; percent kept, colour, content",
       true, detail},
      {"train-step",
       "x_0, x_1, t, condition, prompt_embeds, pooled, image_ids, text_ids; --lora to start from",
       "pred, loss, grad.NAME for every tensor of the adapter", true, train_step},
  };
  return all;
}

}  // namespace icedit::cli
