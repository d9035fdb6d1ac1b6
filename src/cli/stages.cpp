#include "cli/stages.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <map>
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

// The tensors of --in, of which those that nobody asks for are ignored, and the model.
class StageInputs {
 public:
  explicit StageInputs(const StageOptions& options)
      : file_(options.in), adapters_(options.model.adapters), options_(options) {
    if (file_.empty()) return;
    for (auto& [name, tensor] : load_tensors(file_)) tensors_.emplace(name, tensor);
  }

  // Throws DataError that names the tensor and what there is.
  Tensor get(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found != tensors_.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [other, tensor] : tensors_) {
      if (names.size() < 12) names.push_back(other);
    }
    throw DataError(str(file_, ": tensor '", name, "' is missing; there are ", tensors_.size(),
                        ": ", names, tensors_.size() > names.size() ? " and more" : ""));
  }
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  const std::string& file() const { return file_; }

  // Opened at the first use. A stage runs what it is given: the model's own adapter only comes when
  // it is named, and one that does nothing is no error.
  Residency& model() {
    if (model_) return *model_;
    const ModelFiles files = ModelFiles::find(options_.model.request);
    ResidencyOptions residency = residency_options(options_.model, files);
    residency.adapters = adapters_;
    residency.allow_zero_adapters = true;
    return model_.emplace(files, residency);
  }
  void leave_out_adapters() { adapters_.clear(); }

  // Where and in which dtype the model computes; whole numbers only change place.
  Tensor placed(const Tensor& tensor) {
    return tensor.is_floating_point() ? tensor.to(model().device(), model().precision().compute)
                                      : tensor.to(model().device());
  }
  // Ids, sigmas and timesteps stay in f32 whatever the model's dtype.
  Tensor placed_f32(const Tensor& tensor) { return tensor.to(model().device(), at::kFloat); }
  Conditioning placed(const Conditioning& c) {
    return {placed(c.condition), placed(c.prompt_embeds), placed(c.pooled_prompt_embeds),
            placed_f32(c.image_ids), placed_f32(c.text_ids)};
  }

 private:
  std::string file_;
  std::map<std::string, Tensor> tensors_;
  std::vector<AdapterRequest> adapters_;
  const StageOptions& options_;
  std::optional<Residency> model_;
};

namespace {

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

NamedTensors tokenize(StageInputs&, const StageOptions& options, Trace*) {
  const std::vector<std::string> texts = read_texts(options.text);
  const ModelFiles files = ModelFiles::find(options.model.request);
  return {
      {"clip.input_ids", token_ids(ClipTokenizer(files.tokenizer()), texts, options.clip_length)},
      {"t5.input_ids", token_ids(T5Tokenizer(files.tokenizer_2()), texts, options.t5_length)}};
}

NamedTensors clip(StageInputs& in, const StageOptions&, Trace* trace) {
  const Tensor ids = in.get("clip.input_ids");
  const ClipOutput out = in.model().clip().forward(in.placed(ids), trace);
  return {{"clip.last_hidden_state", out.last_hidden_state}, {"clip.pooled", out.pooled}};
}

NamedTensors t5(StageInputs& in, const StageOptions&, Trace* trace) {
  const Tensor ids = in.get("t5.input_ids");
  return {{"t5.last_hidden_state",
           in.model().t5().forward(in.placed(ids), trace, in.model().around(Part::kT5))}};
}

NamedTensors vae_encode(StageInputs& in, const StageOptions&, Trace* trace) {
  const Tensor input = in.get("input");
  Residency& model = in.model();
  const auto moments = model.vae().encode(in.placed(input), trace);
  NamedTensors tensors = {{"mean", moments.mean}, {"logvar", moments.logvar}};
  Tensor latents = moments.mean;
  if (in.has("noise")) {
    check_shape("noise", in.get("noise"), moments.mean.sizes().vec());
    latents = sample(moments, in.placed(in.get("noise")));
    tensors.emplace_back("sample", latents);
  }
  tensors.emplace_back("normalised", normalise_latents(latents, model.vae_config()));
  return tensors;
}

// [B, 3, H, W] about -1 ... 1 -> [B, H, W, 3], rounded half to even.
Tensor to_bytes(const Tensor& decoded) {
  const Tensor unit = (decoded.to(at::kFloat) * 0.5 + 0.5).clamp(0, 1);
  return unit.mul(255).round().to(at::kByte).permute({0, 2, 3, 1}).contiguous();
}

NamedTensors vae_decode(StageInputs& in, const StageOptions&, Trace* trace) {
  const Tensor latents = in.get("latents");
  Residency& model = in.model();
  const Tensor z = denormalise_latents(in.placed(latents), model.vae_config());
  const Tensor decoded = model.vae().decode(z, trace);
  return {{"decoded", decoded}, {"decoded_uint8", to_bytes(decoded)}};
}

NamedTensors schedule(StageInputs&, const StageOptions& options, Trace*) {
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

NamedTensors transformer(StageInputs& in, const StageOptions&, Trace* trace) {
  const Tensor both = in.get("input.hidden_states");  // x, then the condition
  const Tensor time = in.get("input.timestep");
  Conditioning c = {{},
                    in.get("input.encoder_hidden_states"),
                    in.get("input.pooled_projections"),
                    in.get("input.img_ids"),
                    in.get("input.txt_ids")};
  const FluxTransformer& flux = in.model().transformer();
  const FluxConfig& config = flux.config();
  Tensor guidance;
  if (config.guidance_embeds) guidance = in.placed_f32(in.get("input.guidance"));
  check_shape("hidden_states", both, {-1, -1, config.in_channels});
  const auto parts = both.split({config.out_channels, config.in_channels - config.out_channels}, 2);
  const Tensor x = in.placed(parts[0]), t = in.placed_f32(time);
  c.condition = parts[1];
  c = in.placed(c);
  if (trace == nullptr) {
    const AroundBlock around =
        stopping(throw_if_interrupted, in.model().around(Part::kTransformer));
    const auto m = flux.modulations({t}, guidance, c.pooled_prompt_embeds, around);
    return {{"out.output", flux.forward(x, c, m.front(), around)}};
  }
  traced_forward(flux, x, c, t, guidance, *trace);  // the output is kept too
  return {};
}

NamedTensors denoise_stage(StageInputs& in, const StageOptions& options, Trace*) {
  DenoiseInputs inputs;
  Conditioning& c = inputs.conditioning;
  inputs.initial_latents = in.get("initial_latents");
  const Tensor masked = in.get("masked_latents"), mask = in.get("packed_mask");
  c = {{},
       in.get("prompt_embeds"),
       in.get("pooled_prompt_embeds"),
       in.get("image_ids"),
       in.get("text_ids")};
  inputs.sigmas = in.get("sigmas");
  check_shape("initial_latents", inputs.initial_latents, {-1, -1, -1});
  const int64_t batch = inputs.initial_latents.size(0), tokens = inputs.initial_latents.size(1);
  check_shape("masked_latents", masked, {batch, tokens, -1});
  check_shape("packed_mask", mask, {batch, tokens, -1});

  const FluxTransformer& flux = in.model().transformer();
  c.condition = at::cat({in.placed(masked), in.placed(mask.to(at::kFloat))}, 2);
  c = in.placed(c);
  inputs.initial_latents = in.placed(inputs.initial_latents);
  inputs.sigmas = in.placed_f32(inputs.sigmas);
  inputs.guidance = options.guidance.value_or(in.model().files().defaults().guidance_scale);
  NamedTensors tensors;
  Progress bar("denoising", inputs.sigmas.size(0) - 1, "step");
  const auto on_step = [&](int64_t step, const Tensor& latents, const Tensor&) {
    tensors.emplace_back(str("latents.", step + 1), latents);
    bar.update(step + 1);
  };
  denoise(flux, inputs, on_step,
          stopping(throw_if_interrupted, in.model().around(Part::kTransformer)));
  return tensors;
}

// [H, W, 3] or, grey, [H, W], uint8.
Image picture(const StageInputs& in, const std::string& name, bool grey = false) {
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

NamedTensors detail(StageInputs& in, const StageOptions& options, Trace*) {
  const Image original = picture(in, "original"), source = picture(in, "source"),
              reconstruction = picture(in, "reconstruction"), edit = picture(in, "edit");
  std::optional<Image> mask;
  if (in.has("mask")) mask = picture(in, "mask", /*grey=*/true);
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
NamedTensors train_step(StageInputs& in, const StageOptions& options, Trace*) {
  const c10::InferenceMode off(false);
  if (options.model.adapters.size() != 1)
    throw UsageError("stage train-step trains one adapter: give it with --lora PATH");
  in.leave_out_adapters();
  FluxTransformer& flux = in.model().transformer();
  AttachOptions attach;
  attach.trainable = attach.allow_zero = true;
  const AdapterRequest& request = options.model.adapters.front();
  attach.scale = request.scale;
  const LoadedAdapter adapter = attach_adapter(
      flux.linears(), AdapterFile::open(resolve_path_or_id(request.path, "--lora")), attach);
  const StepInputs inputs = {
      in.placed_f32(in.get("x_0")),
      in.placed(Conditioning{in.get("condition"), in.get("prompt_embeds"), in.get("pooled"),
                             in.get("image_ids"), in.get("text_ids")})};
  const Tensor t = in.placed_f32(in.get("t")), x_1 = in.placed_f32(in.get("x_1"));
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
       "out.output; every intermediate with --all", true, transformer, "out."},
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

NamedTensors outputs_of(const Stage& stage, const StageOptions& options) {
  StageInputs in(options);
  Trace trace;
  NamedTensors tensors = stage.run(in, options, options.all ? &trace : nullptr);
  for (const auto& [name, tensor] : trace.tensors())  // named as in the goldens
    tensors.emplace_back(name.starts_with("rope.") ? name : stage.trace_prefix + name, tensor);
  return tensors;
}

}  // namespace icedit::cli
