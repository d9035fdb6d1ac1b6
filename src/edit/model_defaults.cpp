#include "edit/model_defaults.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json_file.h"

namespace icedit {
namespace {

const Choices<std::string> kModelDtypes = {
    {"float32", "float32"}, {"bfloat16", "bfloat16"}, {"float16", "float16"}};

std::vector<Setting> settings_of(ModelDefaults& d) {
  return {{"width", "PIXELS", "of one half", "512", integer(d.width, 1, kWidest)},
          {"num_inference_steps", "N", "denoising steps", "28",
           integer(d.num_inference_steps, 1, kMostSteps)},
          {"guidance_scale", "X", "how strongly the text is followed", "50",
           number(d.guidance_scale, 0, kMostGuidance)},
          {"max_sequence_length", "N", "T5 tokens", "512",
           integer(d.max_sequence_length, 1, kMostTokens)},
          {"dtype", "TYPE", "what diffusers would run it in", "", choice(d.dtype, kModelDtypes)},
          {"lora", "PATH", "the model's own adapter", "", into(d.lora)}};
}

// {"NAME": {"scale": 1, "sha256": "..."}, ...}
std::vector<MergedAdapter> merged_in(const JsonFile& json) {
  std::vector<MergedAdapter> merged;
  if (!json.has("merged")) return merged;
  const JsonFile adapters = json.object("merged");
  for (const std::string& name : adapters.keys()) {
    const JsonFile adapter = adapters.object(name);
    merged.push_back({name, adapter.number_or("scale", 1), adapter.text_or("sha256", "")});
  }
  return merged;
}

// A name that several have gets a number.
Json merged_json(const std::vector<MergedAdapter>& merged) {
  Json json = Json::object();
  for (const MergedAdapter& adapter : merged) {
    std::string name = adapter.name;
    for (int k = 2; json.contains(name); ++k) name = str(adapter.name, " (", k, ")");
    json[name] = {{"scale", adapter.scale}, {"sha256", adapter.sha256}};
  }
  return json;
}

}  // namespace

ModelDefaults ModelDefaults::read(const Path& file) {
  const JsonFile content(file);
  ModelDefaults d;
  d.merged = merged_in(content);
  Json json = content.json();
  json.erase("merged");
  try {
    set_from_json(settings_of(d), json, file.string());
  } catch (const UsageError& error) {  // the file is wrong, not the command
    throw CheckpointError(error.what());
  }
  if (!d.lora.empty() && Path(d.lora).is_relative())
    d.lora = (file.parent_path() / d.lora).lexically_normal().string();
  return d;
}

Json defaults_json(ModelDefaults d) {
  Json json = json_of(settings_of(d));
  for (const char* key : {"dtype", "lora"})
    if (json[key] == "") json.erase(key);
  if (!d.merged.empty()) json["merged"] = merged_json(d.merged);
  return json;
}

}  // namespace icedit
