#include "adapters/adapter_file.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "adapters/adapter_groups.h"
#include "base/counted.h"
#include "base/error.h"
#include "io/checkpoint.h"
#include "nn/weights.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

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
    return PeftConfig::parse(read_file(beside), beside.string());
  }
  const auto& header = file.metadata();
  if (const auto text = header.find("lora_adapter_metadata"); text != header.end()) {
    for (const char* prefix : {"transformer.", ""}) {
      auto config =
          PeftConfig::parse(text->second, file.path().string() + ": lora_adapter_metadata", prefix);
      if (config.stated()) return config;
    }
  }
  if (const auto alpha = header.find("ss_network_alpha"); alpha != header.end())
    return PeftConfig::of_kohya(alpha->second);
  return std::nullopt;
}

// ComfyUI's extracted files carry differences of biases and norms, often of zeros.
bool is_zero_difference(const std::shared_ptr<const SafetensorsFile>& file,
                        const std::string& name) {
  if (!name.ends_with(".diff") && !name.ends_with(".diff_b")) return false;
  return !mapped_tensor({file->mapping(), name, file->info(name)})
              .to(at::kFloat)
              .any()
              .item<bool>();
}

std::string shortened(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + std::min<size_t>(3, names.size()));
  return str(first,
             names.size() > first.size() ? str(" and ", names.size() - first.size(), " more") : "");
}

void expect_something(const AdapterFile& adapter) {
  const bool lora = !adapter.modules.empty();
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
          " tensors is a low-rank factor in a known layout, such as ", shortened(adapter.unmatched),
          ". Is it an adapter, and for this model?"));
}

}  // namespace

AdapterFile AdapterFile::open(const Path& path, const AdapterFileOptions& options) {
  AdapterFile adapter;
  adapter.path = find_file(path);
  const auto file = std::make_shared<const SafetensorsFile>(adapter.path);
  adapter.metadata = file->metadata();
  const auto config = find_config(*file);
  std::vector<AdapterTensor> tensors;
  std::map<std::string, std::vector<std::string>> skipped;  // by the reason
  for (const auto& [name, info] : file->tensors()) {
    if (const std::string kind = unsupported_kind(name); !kind.empty()) {
      throw CheckpointError(str(adapter.path.string(), ": tensor '", name, "': ", kind));
    }
    if (const std::string reason = text_encoder_reason(name); !reason.empty()) {
      skipped[reason].push_back(name);
    } else if (is_zero_difference(file, name)) {
      skipped["they change nothing"].push_back(name);
    } else if (const auto key = parse_adapter_key(name)) {
      tensors.push_back({name, *key});
    } else {
      adapter.unmatched.push_back(name);
    }
  }
  group_modules(file, tensors, config ? &*config : nullptr, options, adapter);
  for (const auto& [reason, names] : skipped) {
    adapter.skipped.insert(adapter.skipped.end(), names.begin(), names.end());
    adapter.notes.push_back(str(adapter.path.string(), ": ", counted(names.size(), "tensor"),
                                names.size() == 1 ? " is" : " are", " skipped (", shortened(names),
                                "): ", reason));
  }
  expect_something(adapter);
  return adapter;
}

bool AdapterFile::has_router() const {
  return std::any_of(modules.begin(), modules.end(),
                     [](const AdapterModule& module) { return module.has_router(); });
}

}  // namespace icedit
