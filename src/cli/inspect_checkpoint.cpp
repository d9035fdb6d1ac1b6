#include <iostream>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/checkpoint_summary.h"
#include "cli/inspect.h"
#include "cli/paths.h"
#include "edit/model_files.h"
#include "nn/weights.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

std::string dtypes_text(const CheckpointSummary& s) {
  std::string text;
  for (const auto& [dtype, parameters] : s.dtypes) {
    text += (text.empty() ? "" : ", ") + dtype;
    if (s.dtypes.size() > 1) text += " (" + count_text(parameters) + ")";
  }
  return text;
}

std::string headline(const CheckpointSummary& s) {
  return str(s.what, ": ", count_text(s.parameters), " parameters in ",
             counted(s.tensors, "tensor"), ", ", dtypes_text(s), ", ", bytes_text(double(s.bytes)),
             " in ", counted(s.files, "file"));
}

std::string group_name(const BlockGroup& group) {
  if (group.name.ends_with("single_transformer_blocks") || group.name.ends_with("single_blocks")) {
    return "single block";
  }
  if (group.name.ends_with("transformer_blocks") || group.name.ends_with("double_blocks"))
    return "double block";
  return "";
}

void print_group(const BlockGroup& group) {
  if (group.first >= 0) {
    const std::string name = group_name(group);
    const std::string range =
        group.count() == 1 ? str(group.first) : str("{", group.first, "..", group.last, "}");
    std::cout << "  " << group.count() << " x " << (name.empty() ? "" : name + ", ") << group.name
              << "." << range << ", " << count_text(group.parameters) << " parameters each:\n";
  }
  for (const TensorLine& tensor : group.tensors) {
    std::cout << (group.first >= 0 ? "    " : "  ") << tensor.name << "  " << str(tensor.shape)
              << " " << tensor.dtype << "\n";
  }
}

Json summary_json(const CheckpointSummary& s) {
  Json json;
  json["kind"] = "checkpoint";
  json["path"] = s.where;
  json["what"] = s.what;
  json["parameters"] = s.parameters;
  json["tensors"] = s.tensors;
  json["bytes"] = s.bytes;
  json["files"] = s.files;
  for (const auto& [dtype, parameters] : s.dtypes) json["dtypes"][dtype] = parameters;
  return json;
}

Json groups_json(const CheckpointSummary& s) {
  Json groups = Json::array();
  for (const BlockGroup& group : s.groups) {
    Json json;
    if (group.first >= 0) {
      json["block"] = group.name;
      json["first"] = group.first;
      json["last"] = group.last;
    }
    json["parameters"] = group.parameters;
    for (const TensorLine& t : group.tensors)
      json["tensors"][t.name] = {{"shape", t.shape}, {"dtype", t.dtype}};
    groups.push_back(json);
  }
  return groups;
}

void expect_finite(const Checkpoint& checkpoint) {
  const std::string bad = first_not_finite(checkpoint);
  if (bad.empty()) return;
  throw CheckpointError(str(checkpoint.where(), ": tensor '", bad,
                            "' holds NaN or infinity; the file is damaged, get it again"));
}

bool holds_weights(const Path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")) return true;
  }
  return false;
}

Json shown(const ModelDefaults& d) {
  Json json = defaults_json(d);
  json["dtype"] = d.dtype;
  json["lora"] = d.lora;
  for (const MergedAdapter& m : d.merged) json["merged"][m.name] = m.scale;
  return json;
}

}  // namespace

void inspect_checkpoint(const Path& path, const InspectOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const CheckpointSummary s = summarise(checkpoint);
  if (options.check) expect_finite(checkpoint);
  if (options.json) {
    Json json = summary_json(s);
    json["groups"] = groups_json(s);
    if (options.check) json["finite"] = true;
    std::cout << dumped(json, 2) << "\n";
    return;
  }
  std::cout << s.where << "\n" << headline(s) << "\n";
  for (const BlockGroup& group : s.groups) print_group(group);
  if (options.check) std::cout << "every value is finite\n";
}

void inspect_model(const Path& folder, const InspectOptions& options) {
  Json json;
  json["kind"] = "model";
  json["path"] = folder.string();
  json["pipeline"] = JsonFile(folder / "model_index.json").text_or("_class_name", "");
  const bool own = is_there(folder / "icedit.json");
  json["defaults"] = shown(own ? ModelDefaults::read(folder / "icedit.json") : ModelDefaults());
  json["defaults_from"] = own ? "icedit.json" : "FLUX.1 Fill";
  json["components"] = Json::object();
  std::vector<Path> parts;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && holds_weights(entry.path())) parts.push_back(entry.path());
  }
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const Path& part : parts) {
    const Checkpoint checkpoint = Checkpoint::open(part);
    if (options.check) expect_finite(checkpoint);
    const CheckpointSummary s = summarise(checkpoint);
    json["components"][part.filename().string()] = summary_json(s);
    text += str("  ", part.filename().string(), "/  ", headline(s), "\n");
  }
  if (options.json) {
    std::cout << dumped(json, 2) << "\n";
    return;
  }
  std::cout << folder.string() << "\n" << text_of(json["pipeline"]) << "\n" << text;
  std::cout << "defaults of an edit (" << text_of(json["defaults_from"]) << "):\n";
  for (const auto& [key, value] : json["defaults"].items()) {
    std::cout << "  " << key << "  " << text_of(value) << "\n";
  }
  if (options.check) std::cout << "every value is finite\n";
}

}  // namespace icedit::cli
