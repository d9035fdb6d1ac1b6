#include "adapters/adapter_file.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "adapters/adapter_groups.h"
#include "base/error.h"
#include "io/pickle.h"
#include "nn/weights.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPeftFile = "adapter_model.safetensors";
constexpr const char* kDiffusersFile = "pytorch_lora_weights.safetensors";
constexpr const char* kPeftConfig = "adapter_config.json";

Path file_in(const Path& folder) {
  std::vector<Path> files, pickles;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".safetensors") files.push_back(it->path());
    if (is_pickle(it->path())) pickles.push_back(it->path());
  }
  if (error) throw IoError(str(folder.string(), " cannot be listed: ", error.message(), "."));
  for (const char* name : {kPeftFile, kDiffusersFile}) {
    if (std::find(files.begin(), files.end(), folder / name) != files.end()) return folder / name;
  }
  if (files.size() == 1) return files[0];
  if (files.size() > 1) {
    std::vector<std::string> names;
    for (const auto& file : files) names.push_back(file.filename().string());
    std::sort(names.begin(), names.end());
    throw ModelUnavailable(
        str(folder.string(), " holds several .safetensors files; name one of ", names));
  }
  if (!pickles.empty()) throw refused_pickle(pickles[0], kPeftFile);
  if (const Path latest = folder / "latest"; fs::is_directory(latest, error)) {
    throw ModelUnavailable(str(folder.string(),
                               " is the folder of a training run; name one of its checkpoints, ",
                               latest.string(), " for the last"));
  }
  throw ModelUnavailable(str(folder.string(), " holds no adapter; looked for ", kPeftFile, ", ",
                             kDiffusersFile, " and any other .safetensors file."));
}

Path find_file(const Path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw ModelUnavailable(str(path.string(), ": no such adapter file or folder; check the path."));
  }
  if (fs::is_directory(path, ignored)) return file_in(path);
  if (path.filename() == kPeftConfig)
    return file_in(path.parent_path().empty() ? Path(".") : path.parent_path());
  if (is_pickle(path)) throw refused_pickle(path, kPeftFile);
  return path;
}

// What is said about alpha beside the tensors.
std::optional<PeftConfig> find_config(const SafetensorsFile& file) {
  const Path beside = file.path().parent_path() / kPeftConfig;
  std::error_code ignored;
  if (file.path().filename() == kPeftFile && fs::exists(beside, ignored)) {
    return PeftConfig::parse(read_text(beside), beside.string());
  }
  const auto header = file.metadata().find("lora_adapter_metadata");
  if (header == file.metadata().end()) return std::nullopt;
  auto config = PeftConfig::parse(header->second, file.path().string() + ": lora_adapter_metadata",
                                  "transformer.");
  return config.stated() ? std::optional(std::move(config)) : std::nullopt;
}

// ComfyUI's extracted files carry differences of biases and norms, often of zeros.
bool is_zero_difference(const std::shared_ptr<const SafetensorsFile>& file,
                        const std::string& name) {
  if (!name.ends_with(".diff") && !name.ends_with(".diff_b")) return false;
  return !mapped_tensor({file->mapping(), name, file->info(name)}).to(at::kFloat).any().item<bool>();
}

std::string shortened(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + std::min<size_t>(3, names.size()));
  return str(first,
             names.size() > first.size() ? str(" and ", names.size() - first.size(), " more") : "");
}

void expect_something(const AdapterFile& adapter) {
  const bool lora = !adapter.lora.empty() || !adapter.moe.empty();
  const bool norms = std::any_of(adapter.unmatched.begin(), adapter.unmatched.end(),
                                 [](const auto& name) { return name.ends_with("_norm.scale"); });
  if (lora && norms) {
    throw CheckpointError(str(adapter.path.string(),
                              ": this is BFL's control LoRA (Canny, Depth), which replaces norms "
                              "too; it is made for FLUX.1-dev and is not supported."));
  }
  if (lora) return;
  if (!adapter.skipped.empty() && adapter.unmatched.empty()) {
    throw CheckpointError(str(adapter.path.string(), ": it adapts text encoders only (",
                              shortened(adapter.skipped),
                              "), which is not supported; only the transformer is adapted."));
  }
  throw CheckpointError(
      str(adapter.path.string(), ": no LoRA for FLUX in it; none of its ", adapter.unmatched.size(),
          " tensors has a name of a known layout, such as ", shortened(adapter.unmatched),
          ". Is it an adapter, and for this model?"));
}

}  // namespace

AdapterFile AdapterFile::open(const Path& path, const AdapterFileOptions& options) {
  AdapterFile adapter;
  adapter.path = find_file(path);
  const auto file = std::make_shared<const SafetensorsFile>(adapter.path);
  adapter.metadata = file->metadata();
  const auto config = find_config(*file);
  AdapterGroups groups(file, config ? &*config : nullptr, options);
  for (const auto& [name, info] : file->tensors()) {
    if (const std::string kind = unsupported_kind(name); !kind.empty()) {
      throw CheckpointError(str(adapter.path.string(), ": tensor '", name, "': ", kind));
    }
    if (is_text_encoder_key(name) || is_zero_difference(file, name)) {
      adapter.skipped.push_back(name);
    } else if (const auto key = parse_adapter_key(name)) {
      groups.add(name, *key);
    } else {
      adapter.unmatched.push_back(name);
    }
  }
  groups.finish(adapter);
  expect_something(adapter);
  if (!adapter.skipped.empty()) {
    adapter.notes.push_back(str(adapter.path.string(), ": ", adapter.skipped.size(),
                                " tensors are skipped (", shortened(adapter.skipped),
                                "): only the transformer is adapted"));
  }
  return adapter;
}

}  // namespace icedit
