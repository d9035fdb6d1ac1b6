#include "cli/model_options.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "cli/paths.h"
#include "edit/device.h"
#include "edit/prompt_cache.h"
#include "io/files.h"

namespace icedit::cli {
namespace {

constexpr double kLargestScale = 1e6;
constexpr int64_t kMostThreads = 4096;
constexpr int64_t kMostTebibytes = 900000;  // which 64 bits still count in bytes, ten times over

const Choices<DtypeChoice> kComputeDtypes = {{"auto", DtypeChoice::kAuto},
                                             {"f32", DtypeChoice::kF32},
                                             {"bf16", DtypeChoice::kBF16},
                                             {"float32", DtypeChoice::kF32},
                                             {"bfloat16", DtypeChoice::kBF16}};
const Choices<GgufCompute> kGgufComputes = {{"dequant", GgufCompute::kDequant},
                                            {"int8", GgufCompute::kInt8}};
const Choices<at::ScalarType> kNoiseDtypes = {
    {"f32", at::kFloat}, {"bf16", at::kBFloat16}, {"f16", at::kHalf}};

// "12G", "7.5 GiB", "800M": powers of 1024.
uint64_t bytes_value(const Given& given) {
  constexpr std::string_view kUnits = "KMGT";
  char* end = nullptr;
  const double count = std::strtod(given.text.c_str(), &end);
  std::string unit = end;
  std::erase(unit, ' ');
  const size_t power = unit.empty() ? std::string_view::npos
                                    : kUnits.find(char(std::toupper(unsigned(unit.front()))));
  const std::string rest = unit.empty() ? "" : unit.substr(1);
  const bool known =
      power != std::string_view::npos && (rest.empty() || rest == "B" || rest == "iB");
  const double bytes = known ? count * std::pow(1024.0, double(power + 1)) : 0;
  if (bytes > double(kMostTebibytes) * std::pow(1024.0, 4))
    throw_value_error(given, str("a size of at most ", kMostTebibytes, "T"));
  if (end == given.text.c_str() || !(bytes >= 1))
    throw_value_error(given, "a size with its unit, such as 12G or 800M");
  return uint64_t(bytes);
}

// Whether the text is a number from end to end; "1:2" and "model" are none.
std::optional<double> as_number(const std::string& text) {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) != 0) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

SettingGroup model_options(ModelOptions& o) {
  ModelRequest& r = o.request;
  return {"Model",
          {{"model, flux-path", "MODEL",
            "a diffusers folder, an id in the Hugging Face cache (org/name@revision), or nano",
            "nano", into(r.model)},
           {"lora, lora-path", "PATH_OR_ID[:SCALE]",
            "a LoRA or MoE-LoRA; may be given several times", "the model's own",
            [&o](const Given& given) { o.adapters.push_back(parse_adapter(given)); }},
           {"no-lora", "", "no adapter, not even the model's own", "", into(o.no_lora)},
           {"lora-allow-partial", "", "leave out what does not fit, with a warning", "",
            into(o.allow_partial)},
           {"transformer", "PATH", "this transformer in place of the model's: a folder or one file",
            "", into(r.transformer)},
           {"t5, text-encoder-2", "PATH", "this T5 encoder", "", into(r.t5)},
           {"clip, text-encoder", "PATH", "this CLIP text encoder", "", into(r.clip)},
           {"vae", "PATH", "this VAE", "", into(r.vae)},
           {"tokenizer", "FOLDER", "CLIP's tokenizer files, where the model has none", "",
            into(r.tokenizer)},
           {"tokenizer-2", "FOLDER", "T5's tokenizer files", "", into(r.tokenizer_2)}}};
}

SettingGroup machine_options(ModelOptions& o) {
  return {
      "Machine",
      {{"device", "DEVICE", "auto, cpu, cuda or cuda:N (CUDA is unmeasured)", "auto",
        into(o.device)},
       {"dtype", "TYPE", "auto, f32 or bf16: what is computed in", "auto",
        choice(o.dtype, kComputeDtypes)},
       {"quant", "TYPE",
        "none, int8 or int4: the transformer's matrices in 8 or 4 bits; half or a third of bf16's "
        "memory, and faster",
        "none", choice(o.quant, quants())},
       {"gguf-compute", "HOW",
        "dequant or int8: products of a GGUF transformer, as exact as its weights or in 8 bits",
        "dequant", choice(o.gguf_compute, kGgufComputes)},
       {"noise-dtype", "TYPE", "f32, bf16 or f16: what the noise is drawn in", "as diffusers would",
        [&o](const Given& given) { o.noise_dtype = choice_value(given, kNoiseDtypes); }},
       {"low-memory, enable-model-cpu-offload", "",
        "never hold two components of the model at once", "", into(o.memory.low_memory)},
       {"max-memory", "SIZE",
        "of the whole program, as 12G: what does not fit is read block by block from the files",
        "what is there", [&o](const Given& given) { o.memory.most = bytes_value(given); }},
       {"max-vram", "SIZE",
        "of a GPU's memory, as 12G: what does not fit is copied there block by block", "all of it",
        [&o](const Given& given) { o.memory.vram = bytes_value(given); }},
       {"no-cache", "", "neither read nor keep on disk what the text encoders made of a prompt", "",
        into(o.no_cache)},
       {"threads", "N", "of computation", "one a free core", integer(o.threads, 1, kMostThreads)}}};
}

AdapterRequest parse_adapter(const Given& given) {
  const size_t colon = given.text.rfind(':');
  const auto scale =
      colon == std::string::npos ? std::nullopt : as_number(given.text.substr(colon + 1));
  if (given.text.empty())
    throw UsageError(str(given.where, " is empty, expected PATH_OR_ID[:SCALE]"));
  if (!scale || is_there(given.text)) return {given.text, 1.0};
  if (!std::isfinite(*scale) || std::abs(*scale) > kLargestScale) {
    throw UsageError(str(given.where, " is '", given.text, "', expected a scale from ",
                         -kLargestScale, " to ", kLargestScale));
  }
  if (colon == 0)
    throw UsageError(str(given.where, " is '", given.text, "', expected PATH_OR_ID[:SCALE]"));
  return {given.text.substr(0, colon), *scale};
}

std::vector<AdapterRequest> adapters_of(const ModelOptions& options,
                                        const ModelDefaults& defaults) {
  if (options.no_lora && !options.adapters.empty()) {
    throw UsageError("--no-lora and --lora exclude each other; give one of them");
  }
  if (options.no_lora || !options.adapters.empty() || defaults.lora.empty())
    return options.adapters;
  return {{defaults.lora, 1.0}};
}

ResidencyOptions residency_options(const ModelOptions& options, const ModelFiles& files) {
  ResidencyOptions residency;
  residency.dtype = options.dtype;
  residency.quant = options.quant;
  residency.gguf_compute = options.gguf_compute;
  residency.noise_dtype = options.noise_dtype;
  residency.device = choose_device(options.device);
  residency.adapters = adapters_of(options, files.defaults());
  residency.allow_partial_adapters = options.allow_partial;
  if (!options.no_cache) residency.prompt_cache.folder = default_prompt_cache();
  return residency;
}

}  // namespace icedit::cli
