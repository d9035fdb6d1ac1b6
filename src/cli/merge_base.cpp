#include "cli/merge_base.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "adapters/attach.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/paths.h"
#include "edit/precision.h"
#include "edit/recipe.h"
#include "io/hub.h"
#include "io/json.h"
#include "io/whole_folder.h"
#include "models/flux/transformer.h"
#include "nn/comfy_quant.h"
#include "nn/weights.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

struct PlannedTensor {
  std::string name;
  uint64_t bytes;                // of what `make` returns
  std::function<Tensor()> make;  // called once, when its shard is written
};

// Of a matrix whose values are these times factors that lie beside it.
bool is_scaled(Dtype dtype) {
  return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2 || dtype == Dtype::kI8;
}

// The transformer as it is stored, with what is added to each of its matrices.
class MergedTransformer {
 public:
  MergedTransformer(const Component& component, const std::vector<AdapterFile>& files,
                    const MergeRequest& request)
      : model_(FluxTransformer::load(component.checkpoint, component.config,
                                     {at::kFloat, /*keep_stored=*/true, at::kCPU})) {
    for (const auto& [path, linear] : model_.linears()) linears_.emplace(path, linear);
    for (size_t i = 0; i < files.size(); ++i) {
      AttachOptions options;
      options.scale = request.adapters[i].scale;
      options.allow_partial = request.allow_partial;
      const LoadedAdapter attached = attach_adapter(model_.linears(), files[i], options);
      for (const auto& layer : attached.layers())
        deltas_[layer.adapter->module].push_back({layer.adapter, options.scale});
    }
  }

  const Linear* linear(const std::string& tensor) const {
    if (!tensor.ends_with(".weight")) return nullptr;
    const auto found = linears_.find(tensor.substr(0, tensor.size() - 7));
    return found == linears_.end() ? nullptr : &found->second;
  }
  bool is_touched(const Linear& linear) const { return deltas_.count(linear.path()) != 0; }

  Tensor merged(const Linear& linear, at::ScalarType dtype) const {
    const at::NoGradGuard no_grad;
    Tensor weight = linear.weight().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    const auto found = deltas_.find(linear.path());
    if (found != deltas_.end()) {
      for (const auto& [lora, scale] : found->second)
        weight.add_(lora->delta(lora->scaling() * scale));
    }
    weight = weight.to(dtype);
    if (!at::isfinite(weight).all().item<bool>()) {
      throw CheckpointError(str("the merged weight of ", linear.path(), " is not finite in ",
                                at::toString(dtype), "; give a smaller scale or --dtype bf16"));
    }
    return weight;
  }

 private:
  FluxTransformer model_;
  std::map<std::string, Linear> linears_;
  std::map<std::string, std::vector<std::pair<std::shared_ptr<AdapterLayer>, double>>> deltas_;
};

std::vector<AdapterFile> open_adapters(const MergeRequest& request) {
  std::vector<AdapterFile> files;
  for (const AdapterRequest& adapter : request.adapters) {
    files.push_back(AdapterFile::open(resolve_path_or_id(adapter.path, "--lora")));
    if (!files.back().has_router()) continue;
    throw UsageError(str(adapter.path,
                         " is a mixture of experts, whose change depends on the input: it "
                         "cannot be merged; use it with --lora as it is"));
  }
  return files;
}

at::ScalarType dtype_for(const std::string& where, const std::string& name, Dtype stored,
                         const MergeRequest& request) {
  if (is_scaled(stored) && !request.dtype) {
    throw UsageError(
        str(where, ": tensor '", name, "' is ", dtype_name(stored),
            ", which a sum cannot be stored in; say with --dtype bf16, f16 or f32 what "
            "to write"));
  }
  const at::ScalarType type = scalar_type(stored);
  return is_scaled(stored) || at::isFloatingType(type) ? request.dtype.value_or(type) : type;
}

std::vector<PlannedTensor> plan_part(const Checkpoint& checkpoint, const MergeRequest& request,
                                     const MergedTransformer* merged) {
  std::vector<PlannedTensor> plan;
  for (const auto& [name, entry] : checkpoint.entries()) {
    if (merged && is_quant_part(name)) continue;  // part of the weight that is written
    if (!merged && (is_quant_part(name) || entry.info.dtype == Dtype::kI8)) {
      throw CheckpointError(str(checkpoint.where(), ": tensor '", name,
                                "' is of a weight with factors beside it, which is written for "
                                "transformers only; give this component in bf16"));
    }
    const at::ScalarType dtype = dtype_for(checkpoint.where(), name, entry.info.dtype, request);
    const Linear* linear = merged ? merged->linear(name) : nullptr;
    const bool sum = linear && (merged->is_touched(*linear) || is_scaled(entry.info.dtype));
    const auto bytes = uint64_t(parameters_of(checkpoint, name)) * at::elementSize(dtype);
    plan.push_back({name, bytes, [=, &checkpoint]() -> Tensor {
                      throw_if_interrupted();
                      if (sum) return merged->merged(*linear, dtype);
                      return mapped_tensor(checkpoint.entry(name)).to(dtype);
                    }});
  }
  return plan;
}

// As diffusers and transformers lay them out: one .safetensors file, or shards and an index.
// `stem`: "diffusion_pytorch_model" or "model". `written`: after every tensor. A tensor larger than
// a shard has one of its own.
void write_component(const Path& folder, const std::string& stem,
                     const std::vector<PlannedTensor>& tensors, uint64_t shard_bytes,
                     const std::function<void()>& written) {
  std::vector<size_t> begins = {0};  // of each shard
  uint64_t bytes = 0, total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (bytes > 0 && bytes + tensors[i].bytes > shard_bytes) begins.push_back(i), bytes = 0;
    bytes += tensors[i].bytes;
    total += tensors[i].bytes;
  }
  const size_t shards = begins.size();
  begins.push_back(tensors.size());
  Json map = Json::object();
  for (size_t shard = 0; shard < shards; ++shard) {
    char numbers[64] = "";
    if (shards > 1) std::snprintf(numbers, sizeof numbers, "-%05zu-of-%05zu", shard + 1, shards);
    const std::string name = stem + numbers + ".safetensors";
    std::vector<std::pair<std::string, Tensor>> made;
    for (size_t i = begins[shard]; i < begins[shard + 1]; ++i) {
      made.emplace_back(tensors[i].name, tensors[i].make());
      map[tensors[i].name] = name;
      written();
    }
    save_tensors(folder / name, made, {{"format", "pt"}});
  }
  if (shards == 1) return;
  write_json(folder / (stem + ".safetensors.index.json"),
             {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
}

Json model_index() {
  return {{"_class_name", "FluxFillPipeline"},
          {"_diffusers_version", "0.32.0"},
          {"scheduler", {"diffusers", "FlowMatchEulerDiscreteScheduler"}},
          {"text_encoder", {"transformers", "CLIPTextModel"}},
          {"text_encoder_2", {"transformers", "T5EncoderModel"}},
          {"tokenizer", {"transformers", "CLIPTokenizer"}},
          {"tokenizer_2", {"transformers", "T5TokenizerFast"}},
          {"transformer", {"diffusers", "FluxTransformer2DModel"}},
          {"vae", {"diffusers", "AutoencoderKL"}}};
}

// The model's own defaults, but for its adapter: that is merged.
Json merged_defaults(ModelDefaults d, const MergeRequest& request,
                     const std::vector<AdapterFile>& adapters) {
  d.lora.clear();
  if (request.dtype) d.dtype = dtype_text(*request.dtype);
  for (size_t i = 0; i < adapters.size(); ++i) {
    const AdapterRequest& asked = request.adapters[i];
    d.merged.push_back({without_folders(asked.path), asked.scale,
                        fingerprint(std::vector<Path>{adapters[i].path}).sha256});
  }
  return defaults_json(d);
}

void copy_files(const Path& from, const Path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    fs::copy_file(entry.path(), to / entry.path().filename(), error);
    if (error)
      throw IoError(
          str(entry.path().string(), " cannot be copied to ", to.string(), ": ", error.message()));
  }
}

// Beside the tensors: what makes the folder a model.
void write_settings(const ModelFiles& files, const MergeRequest& request,
                    const std::vector<AdapterFile>& adapters, const Path& folder) {
  write_json(folder / "model_index.json", model_index());
  write_json(folder / "icedit.json", merged_defaults(files.defaults(), request, adapters));
  write_json(folder / "scheduler" / "scheduler_config.json", files.scheduler().json());
  copy_files(files.tokenizer(), folder / "tokenizer");
  copy_files(files.tokenizer_2(), folder / "tokenizer_2");
}

// Throws unless `output` is free, or a model folder that may be replaced.
void check_output(const Path& output, bool force) {
  if (!is_there(output)) return;
  expect_free(output, force);
  if (!is_there(output / "model_index.json")) {
    throw UsageError(str(output.string(),
                         " is no model folder (it has no model_index.json), so --force does not "
                         "replace it; give another name with -o"));
  }
}

void check_inputs_stay(const ModelFiles& files, const Path& output) {
  for (const Part part : kParts) {
    const std::string place = same_place(files.place(part)).string();
    const std::string out = same_place(output).string();
    if (place == out || place.starts_with(out + "/")) {
      throw UsageError(str(output.string(), " is the model that is read; give another name"));
    }
  }
}

}  // namespace

void merge_base(const ModelFiles& files, const MergeRequest& request, const Path& output) {
  if (request.adapters.empty()) {
    throw UsageError(str(files.name(),
                         " has no adapter of its own; name those to merge with "
                         "--lora PATH_OR_ID[:SCALE]"));
  }
  check_output(output, request.force);
  check_inputs_stay(files, output);
  std::map<Part, Component> components;
  for (const Part part : kParts) components.emplace(part, files.open(part));
  const std::vector<AdapterFile> adapters = open_adapters(request);
  const MergedTransformer merged(components.at(Part::kTransformer), adapters, request);
  std::map<Part, std::vector<PlannedTensor>> plans;
  uint64_t bytes = 0;
  int64_t tensors = 0, done = 0;
  for (const auto& [part, component] : components) {
    plans[part] =
        plan_part(component.checkpoint, request, part == Part::kTransformer ? &merged : nullptr);
    for (const PlannedTensor& tensor : plans[part]) bytes += tensor.bytes;
    tensors += int64_t(plans[part].size());
  }
  expect_free_space(output, bytes + (8 << 20), "make room or choose another place with -o");
  WholeFolder folder(same_place(output));
  Progress progress("merging", tensors, "tensor");
  for (const auto& [part, component] : components) {
    const Path place = folder.path() / part_name(part);
    const bool diffusers = part == Part::kTransformer || part == Part::kVae;
    fs::create_directories(place);
    write_json(place / "config.json", component.config.json());
    write_component(place, diffusers ? "diffusion_pytorch_model" : "model", plans[part],
                    request.shard_bytes, [&] { progress.update(++done); });
  }
  write_settings(files, request, adapters, folder.path());
  folder.finish(request.force ? Existing::kReplace : Existing::kRefuse);
}

}  // namespace icedit::cli
