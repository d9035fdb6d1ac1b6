#include "edit/model_files.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "io/hub.h"
#include "models/flux/fill_configs.h"
#include "models/single_file.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFill = "black-forest-labs/FLUX.1-Fill-dev";

const char* option_of(Part part) {
  switch (part) {
    case Part::kTransformer:
      return "--transformer";
    case Part::kT5:
      return "--t5";
    case Part::kClip:
      return "--clip";
    case Part::kVae:
      return "--vae";
  }
  return "";
}

const std::string& asked(const ModelRequest& r, Part part) {
  switch (part) {
    case Part::kTransformer:
      return r.transformer;
    case Part::kT5:
      return r.t5;
    case Part::kClip:
      return r.clip;
    default:
      return r.vae;
  }
}

Checkpoint by_public_names(Part part, const Checkpoint& file) {
  switch (part) {
    case Part::kTransformer:
      return flux_single_file(file);
    case Part::kT5:
      return t5_single_file(file);
    case Part::kClip:
      return clip_single_file(file);
    default:
      return vae_single_file(file);
  }
}

// A pipeline that is not Fill loads and then paints nonsense: it is refused by name.
void expect_fill(const Path& folder) {
  const Path index = folder / "model_index.json";
  if (!fs::exists(index)) {
    expect_no_model_below(folder);
    throw ModelUnavailable(
        str(folder.string(),
            ": there is no model_index.json, so this is no diffusers folder; expected ", kFill,
            "'s layout (transformer/, text_encoder/, text_encoder_2/, vae/, tokenizer/, "
            "tokenizer_2/, scheduler/). Single files go with --transformer, --t5, --clip, --vae"));
  }
  const std::string pipeline = JsonFile(index).text_or("_class_name", "");
  if (pipeline == "FluxFillPipeline") return;
  throw CheckpointError(
      str(index.string(), ": '_class_name' is '", pipeline,
          "', expected FluxFillPipeline: editing needs ", kFill,
          ", which can paint into a masked picture; FLUX.1-dev and others cannot"));
}

}  // namespace

const char* part_name(Part part) {
  switch (part) {
    case Part::kTransformer:
      return "transformer";
    case Part::kT5:
      return "text_encoder_2";
    case Part::kClip:
      return "text_encoder";
    case Part::kVae:
      return "vae";
  }
  return "";
}

void expect_no_model_below(const Path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / "model" / "model_index.json", ignored)) return;
  throw ModelUnavailable(
      str(folder.string(), ": the model is one folder below, name ", (folder / "model").string()));
}

Path embedded_model(const std::string& name) {
  std::error_code error;
  const Path program = fs::read_symlink("/proc/self/exe", error);
  std::vector<Path> looked;
  for (Path folder = program.parent_path(); !error && folder.has_relative_path();
       folder = folder.parent_path()) {
    for (const Path& models : {folder / "share/icedit/models", folder / "models"}) {
      looked.push_back(models / name / "model");
      if (fs::exists(looked.back() / "model_index.json")) return looked.back();
    }
  }
  throw ModelUnavailable(str(
      "the embedded model '", name, "' is not beside the program (looked for share/icedit/models/",
      name, " and models/", name, " above ", program.string(),
      "); a copy of the program alone has none: install it with `cmake --install`, "
      "link to it, or name a model's folder with --model"));
}

ModelFiles ModelFiles::find(const ModelRequest& request) {
  const bool all_given = std::all_of(std::begin(kParts), std::end(kParts),
                                     [&](Part part) { return !asked(request, part).empty(); });
  ModelFiles files;
  Path folder;
  if (request.model.empty() ? !all_given : request.model == "nano") {
    files.name_ = "nano";
    folder = embedded_model("nano");
  } else if (!request.model.empty()) {
    files.name_ = request.model;
    folder = resolve_path_or_id(request.model, "--model", {"nano"});
    if (!fs::is_directory(folder)) {
      throw UsageError(str("--model ", request.model,
                           ": this is a file, expected a folder; a single file goes with "
                           "--transformer, --t5, --clip or --vae"));
    }
  } else {
    files.name_ = request.transformer;
  }
  files.folder_ = folder;
  if (!folder.empty()) {
    expect_fill(folder);
    if (fs::exists(folder / "icedit.json"))
      files.defaults_ = ModelDefaults::read(folder / "icedit.json");
    // They are in the folder's own transformer.
    if (!request.transformer.empty()) files.defaults_.merged.clear();
    files.tokenizer_ = folder / "tokenizer";
    files.tokenizer_2_ = folder / "tokenizer_2";
    files.scheduler_ = folder / "scheduler" / "scheduler_config.json";
  }
  for (const Part part : kParts) {
    const std::string& other = asked(request, part);
    files.places_[part] =
        other.empty() ? folder / part_name(part) : resolve_path_or_id(other, option_of(part));
  }
  if (!request.tokenizer.empty())
    files.tokenizer_ = resolve_path_or_id(request.tokenizer, "--tokenizer");
  if (!request.tokenizer_2.empty())
    files.tokenizer_2_ = resolve_path_or_id(request.tokenizer_2, "--tokenizer-2");
  return files;
}

std::vector<std::shared_ptr<const Component>> ModelFiles::hold_open() const {
  std::vector<std::shared_ptr<const Component>> all;
  for (const Part part : kParts) {
    all.push_back(std::make_shared<const Component>(open(part)));
    (*held_)[part] = all.back();
  }
  return all;
}

Component ModelFiles::open(Part part) const {
  const auto held = held_->find(part);
  if (const auto component = held != held_->end() ? held->second.lock() : nullptr)
    return *component;
  const Path& place = places_.at(part);
  if (fs::is_directory(place)) {
    // A component's own folder, or a whole model given for one component.
    const Path inner = place / part_name(part);
    const Path& folder =
        !fs::exists(place / "config.json") && fs::is_directory(inner) ? inner : place;
    return {by_public_names(part, Checkpoint::open(folder)), JsonFile(folder / "config.json")};
  }
  // Beside the file, else the model's own of this part, else FLUX.1 Fill's.
  Path config = place.parent_path() / "config.json";
  if (!fs::exists(config) && !folder_.empty()) config = folder_ / part_name(part) / "config.json";
  return {by_public_names(part, Checkpoint::open(place)),
          fs::exists(config) ? JsonFile(config) : fill_config(part_name(part))};
}

namespace {

Path tokenizer_folder(const Path& folder, const char* whose, const char* option,
                      const char* files) {
  if (fs::is_directory(folder)) return folder;
  if (folder.empty()) {
    throw ModelUnavailable(str(whose, "'s tokenizer is needed: give the folder that holds ", files,
                               " with ", option, " (", kFill, " has it)"));
  }
  throw ModelUnavailable(str(folder.string(), ": ", whose,
                             "'s tokenizer folder is not there; it should hold ", files,
                             ". Get the model again or give the folder with ", option));
}

}  // namespace

Path ModelFiles::tokenizer() const {
  return tokenizer_folder(tokenizer_, "CLIP", "--tokenizer", "vocab.json and merges.txt");
}

Path ModelFiles::tokenizer_2() const {
  return tokenizer_folder(tokenizer_2_, "T5", "--tokenizer-2", "spiece.model");
}

JsonFile ModelFiles::scheduler() const {
  if (scheduler_.empty()) return fill_config("scheduler");
  return JsonFile(scheduler_);
}

}  // namespace icedit
