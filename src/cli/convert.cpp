// icedit convert: an adapter into another layout, or adapters into a model for good.
#include <ATen/ATen.h>

#include <cmath>
#include <iostream>

#include "adapters/save.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/convert_gguf.h"
#include "cli/convert_quant.h"
#include "cli/merge_base.h"
#include "cli/model_options.h"
#include "cli/paths.h"
#include "io/hub.h"
#include "io/whole_folder.h"

namespace icedit::cli {
namespace {

// What --quant writes: ComfyUI's layouts, or blocks in a GGUF file.
struct FileType {
  Quant quant = Quant::kNone;
  Dtype blocks = Dtype::kF32;

  bool is_gguf() const { return quant == Quant::kNone; }
  std::string ending() const { return is_gguf() ? ".gguf" : ".safetensors"; }
};

struct ConvertOptions {
  std::string output, format = "diffusers";
  bool merge = false, force = false, help = false, format_given = false;
  std::optional<at::ScalarType> dtype;
  std::optional<FileType> quant;
  Part component = Part::kTransformer;
  double shard_gb = 5;
  ModelOptions model;
};

const Choices<at::ScalarType> kStoredDtypes = {{"f32", at::kFloat},         {"bf16", at::kBFloat16},
                                               {"f16", at::kHalf},          {"float32", at::kFloat},
                                               {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};

const Choices<FileType> kFileTypes = {{"int8", {Quant::kInt8, {}}},
                                      {"int4", {Quant::kInt4, {}}},
                                      {"q8_0", {Quant::kNone, Dtype::kQ8_0}},
                                      {"q4_0", {Quant::kNone, Dtype::kQ4_0}},
                                      {"q4_k", {Quant::kNone, Dtype::kQ4_K}}};

const Choices<Part> kComponents = {{"transformer", Part::kTransformer}, {"t5", Part::kT5}};

SettingGroup convert_group(ConvertOptions& o) {
  return {"Conversion",
          {{"output, o", "PATH", "the file or folder that is written", "", into(o.output)},
           {"format", "LAYOUT", "of an adapter: diffusers, peft (a folder) or kohya", "diffusers",
            [&o](const Given& given) {
              adapter_layout(given.text);
              o.format = given.text;
              o.format_given = true;
            }},
           {"merge", "", "write --model with the adapters of --lora (or its own) merged in", "",
            into(o.merge)},
           {"quant", "TYPE",
            "write --model's transformer alone: int8 or int4 for ComfyUI (.safetensors), or q8_0, "
            "q4_0 or q4_k (.gguf)",
            "", [&o](const Given& given) { o.quant = choice_value(given, kFileTypes); }},
           {"component", "NAME", "of a .gguf: transformer or t5", "transformer",
            choice(o.component, kComponents)},
           {"dtype", "TYPE", "f32, bf16 or f16: what is stored", "as it is",
            [&o](const Given& given) { o.dtype = choice_value(given, kStoredDtypes); }},
           {"max-shard-size", "GB", "of a merged model's files, and of the memory that is needed",
            "5", number(o.shard_gb, 0.001, 1e6)},
           {"force, f", "", "overwrite --output", "", into(o.force)}}};
}

std::vector<SettingGroup> groups(ConvertOptions& options) {
  return {convert_group(options), model_options(options.model), general_options(options.help)};
}

std::string convert_help() {
  ConvertOptions options;
  return command_help({"icedit convert ADAPTER[:SCALE] --format LAYOUT -o PATH",
                       "icedit convert --merge --model MODEL --lora ADAPTER[:SCALE] -o FOLDER",
                       "icedit convert --quant int8|int4 --model MODEL -o FILE.safetensors",
                       "icedit convert --quant q8_0|q4_0|q4_k [--component t5] --model MODEL -o "
                       "FILE.gguf"},
                      "Writes an adapter in another public layout, its alpha kept, a model with "
                      "adapters merged in, or a component with "
                      "fewer bits.",
                      groups(options), exit_codes_help());
}

// The scale goes into alpha, which every layout has; a sign into B.
void scale_adapter(AdapterFile& adapter, double scale) {
  if (scale == 0) throw UsageError("an adapter of scale 0 changes nothing; give another scale");
  for (AdapterModule& module : adapter.modules) {
    module.alpha *= std::abs(scale);
    for (Tensor& b : module.b) b = scale < 0 ? b.neg() : b;
  }
}

void change_dtype(AdapterFile& adapter, at::ScalarType dtype) {
  for (AdapterModule& module : adapter.modules) {
    replace_tensors(module,
                    [&](const std::string&, const Tensor& tensor) { return tensor.to(dtype); });
  }
}

AdapterFile open_whole(const std::string& text, bool allow_partial) {
  AdapterFile adapter = AdapterFile::open(resolve_path_or_id(text, "the adapter"));
  for (const std::string& note : adapter.notes) log::info(note);
  if (adapter.unmatched.empty()) return adapter;
  const std::string what =
      str(adapter.path.string(), ": ", adapter.unmatched.size(),
          " tensors have no place in another layout, such as '", adapter.unmatched[0], "'");
  if (!allow_partial) throw CheckpointError(what + "; leave them out with --lora-allow-partial");
  log::warn(what + "; they are left out");
  return adapter;
}

void convert_adapter(const ConvertOptions& options, const AdapterRequest& request) {
  const AdapterLayout layout = adapter_layout(options.format);
  AdapterFile adapter = open_whole(request.path, options.model.allow_partial);
  const std::vector<Path> wanted = adapter_files(options.output, layout);
  for (const Path& target : wanted) {
    if (same_place(target) == same_place(adapter.path))
      throw UsageError(str(target.string(), " is the adapter itself; give another name with -o"));
    expect_free(target, options.force);
  }
  if (request.scale != 1) scale_adapter(adapter, request.scale);
  if (options.dtype) change_dtype(adapter, *options.dtype);
  const NewFiles made(options.output);
  save_adapter(made.path(), adapter, layout);
  const std::vector<Path> files = adapter_files(made.path(), layout);
  std::vector<Path> got;
  for (const Path& file : files) got.push_back(made.put(file, if_taken(options.force)));
  for (size_t i = 0; i < files.size(); ++i) expect_name(wanted[i], got[i]);
  log::info(str(adapter.path.string(), ": ", adapter.modules.size(), " layers, ", adapter.layout,
                " -> ", options.format));
  std::cout << wanted[0].string() << "\n";
}

void merge(ConvertOptions& options) {
  const ModelFiles files = ModelFiles::find(options.model.request);
  MergeRequest request;
  request.adapters = adapters_of(options.model, files.defaults());
  request.allow_partial = options.model.allow_partial;
  request.dtype = options.dtype;
  request.shard_bytes = uint64_t(options.shard_gb * 1e9);
  request.force = options.force;
  merge_base(files, request, options.output);
  std::cout << options.output << "\n";
}

void quantise(const ConvertOptions& options, const std::vector<std::string>& rest) {
  const FileType& type = *options.quant;
  if (options.merge || options.format_given || options.dtype || !rest.empty() ||
      !options.model.adapters.empty()) {
    throw UsageError(
        "--quant writes a component of --model alone: no adapters, --merge, --format or --dtype; "
        "merge adapters first (--merge) and quantise what that wrote");
  }
  if (!type.is_gguf() && options.component != Part::kTransformer)
    throw UsageError(
        "--component t5 is for q8_0, q4_0 and q4_k; int8 and int4 are of transformers");
  const Path output = options.output;
  if (output.extension() != type.ending())
    throw UsageError(
        str("-o is '", options.output, "', expected a name that ends in ", type.ending()));
  const ModelFiles files = ModelFiles::find(options.model.request);
  if (same_place(output) == same_place(files.place(options.component)))
    throw UsageError(str(options.output, " is the file that is read; give another name"));
  expect_free(output, options.force);
  const Component component = files.open(options.component);
  const NewFiles made(output);
  if (type.is_gguf())
    convert_gguf(component, options.component, type.blocks, made.path());
  else
    convert_quantised(component, type.quant, made.path());
  expect_name(output, made.put(made.path(), if_taken(options.force)));
  std::cout << options.output << "\n";
}

}  // namespace

int run_convert(const Arguments& arguments) {
  ConvertOptions options;
  const auto rest = parse_arguments("convert", groups(options), arguments);
  if (options.help) {
    std::cout << convert_help();
    return 0;
  }
  if (options.output.empty()) throw UsageError("where to? Give -o PATH");
  if (options.quant) {
    quantise(options, rest);
    return 0;
  }
  if (options.component != Part::kTransformer)
    throw UsageError("--component is of --quant; give that too, as in --quant q8_0");
  if (options.merge) {
    if (options.format_given)
      throw UsageError("--format is for adapters; a merged model is always a diffusers folder");
    for (const std::string& text : rest)
      options.model.adapters.push_back(parse_adapter({"the adapter", text}));
    merge(options);
    return 0;
  }
  std::vector<AdapterRequest> adapters = options.model.adapters;
  for (const std::string& text : rest) adapters.push_back(parse_adapter({"the adapter", text}));
  if (adapters.empty()) throw UsageError("which adapter? icedit convert ADAPTER -o PATH");
  if (adapters.size() > 1) {
    throw UsageError(str("one adapter is converted at a time, but ", adapters.size(),
                         " are given; --merge puts several into a model"));
  }
  convert_adapter(options, adapters[0]);
  return 0;
}

}  // namespace icedit::cli
