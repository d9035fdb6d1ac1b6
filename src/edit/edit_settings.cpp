#include "edit/edit_settings.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kAnySeed = std::numeric_limits<int64_t>::min();
constexpr size_t kLongestReason = 200;
constexpr int64_t kMostImages = 4096, kMostSteps = 10000, kWidest = 16384, kMostTokens = 512;

const std::vector<std::pair<std::string, Sizing>> kSizings = {{"fit", Sizing::kFit},
                                                              {"icedit", Sizing::kIcedit}};
const std::vector<std::pair<std::string, Layout>> kLayouts = {{"copy", Layout::kCopy},
                                                              {"black", Layout::kBlack}};
const std::vector<std::pair<std::string, NoiseOrder>> kOrders = {{"current", NoiseOrder::kCurrent},
                                                                 {"early", NoiseOrder::kEarly}};
const std::vector<std::pair<std::string, bool>> kBatchNoises = {{"each", false},
                                                                {"diffusers", true}};
const std::vector<std::pair<std::string, bool>> kOutputSizes = {{"model", false}, {"source", true}};

template <class T>
std::string name_of(const std::vector<std::pair<std::string, T>>& choices, T value) {
  for (const auto& [name, choice] : choices) {
    if (choice == value) return name;
  }
  return "";
}

template <class T>
std::function<void(const Given&)> choose(const std::vector<std::pair<std::string, T>>& choices,
                                         T& value) {
  return [&choices, &value](const Given& given) { value = choice_value(given, choices); };
}

template <class T>
std::function<void(const Given&)> integer(T& value, int64_t least, int64_t most) {
  return [&value, least, most](const Given& given) { value = integer_value(given, least, most); };
}

std::vector<Option> what_to_edit(EditSettings& s) {
  return {
      {"image", {}, "FILE", "the picture to edit: PNG, JPEG or WebP", "", into(s.image)},
      {"instruction", {}, "TEXT", "what is to be changed", "", into(s.request.instruction)},
      {"output",
       {"o"},
       "PATH",
       "the file to write (.png, .jpg, .webp), or a folder for several",
       "INPUT-edit-1.png",
       into(s.output)},
      {"mask",
       {},
       "FILE",
       "a picture that is white where the edit may change something; of the input's size",
       "all",
       into(s.mask)},
      {"feather",
       {},
       "PIXELS",
       "blend over so many pixels outside the mask's edge",
       "0",
       integer(s.request.feather, 0, 1024)},
  };
}

std::vector<Option> how_to_sample(EditSettings& s) {
  EditRequest& r = s.request;
  return {
      {"seed",
       {},
       "N",
       "the same seed, the same picture",
       "random",
       integer(s.seed, kAnySeed, INT64_MAX)},
      {"num-images",
       {},
       "N",
       "so many edits; the i-th has seed + i",
       "1",
       integer(r.num_images, 1, kMostImages)},
      {"steps",
       {"num-inference-steps"},
       "N",
       "denoising steps",
       "the model's; FLUX's 28",
       integer(r.steps, 1, kMostSteps)},
      {"guidance",
       {"guidance-scale"},
       "X",
       "how strongly the text is followed",
       "the model's; FLUX's 50",
       [&r](const Given& given) { r.guidance = number_value(given, 0, 10000); }},
      {"max-sequence-length",
       {},
       "N",
       "T5 tokens that are read, at most 512",
       "the model's; FLUX's 512",
       integer(r.max_sequence_length, 1, kMostTokens)},
      {"noise-order",
       {},
       "ORDER",
       "current or early: as diffusers draws since 0.33, or did until 0.32",
       "current",
       choose(kOrders, r.noise_order)},
      {"batch-noise",
       {},
       "HOW",
       "each: a draw for every seed; diffusers: one draw for all, as num_images_per_prompt",
       "each",
       choose(kBatchNoises, r.batch_noise)},
  };
}

std::vector<Option> how_large(EditSettings& s) {
  EditRequest& r = s.request;
  return {
      {"width",
       {},
       "PIXELS",
       "width at which the model works",
       "the model's; FLUX's 512",
       integer(r.width, 1, kWidest)},
      {"sizing",
       {},
       "RULE",
       "fit: no crop, no black rows; icedit: exactly as the published script",
       "fit",
       choose(kSizings, r.sizing)},
      {"layout",
       {},
       "WHAT",
       "copy or black: what stands in the right half before it is masked",
       "copy",
       choose(kLayouts, r.layout)},
      {"output-size",
       {},
       "SIZE",
       "model: as it was made; source: brought back to the input's size",
       "model",
       choose(kOutputSizes, r.source_size)},
      {"quality",
       {},
       "N",
       "1 to 100, of JPEG and WebP",
       std::to_string(kQuality),
       integer(s.quality, 1, 100)},
  };
}

Json parse_object(const std::string& text, const std::string& where) {
  const std::string expected = str(where,
                                   ": expected a JSON object such as {\"image\": \"a.png\", "
                                   "\"instruction\": \"...\"}");
  Json object;
  try {
    object = Json::parse(text);
  } catch (const Json::parse_error& error) {
    std::string why = error.what();  // "[...] parse error at line 1, column 9: syntax error ..."
    if (const size_t at = why.find(": "); at != std::string::npos) why = why.substr(at + 2);
    if (why.size() > kLongestReason) why = why.substr(0, kLongestReason) + " ...";
    throw UsageError(str(expected, "; at character ", error.byte, ": ", why));
  }
  if (!object.is_object()) throw UsageError(expected);
  return object;
}

std::string value_text(const Json& value, const std::string& where, const std::string& key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  throw UsageError(
      str(where, ": '", key, "' is ", value.dump(), ", expected a text, a number, true or false"));
}

}  // namespace

std::vector<Option> edit_options(EditSettings& settings) {
  std::vector<Option> options = what_to_edit(settings);
  for (const auto& more : {how_to_sample(settings), how_large(settings)}) {
    options.insert(options.end(), more.begin(), more.end());
  }
  return options;
}

std::string settings_json(const EditSettings& settings, const ModelDefaults& defaults,
                          int64_t seed) {
  const EditRequest& r = settings.request;
  Json json;
  json["instruction"] = r.instruction;
  json["seed"] = seed;
  // Of several edits with a seed each, every one can be made again alone.
  json["num_images"] = r.batch_noise ? r.num_images : 1;
  json["steps"] = r.steps.value_or(defaults.num_inference_steps);
  json["guidance"] = r.guidance.value_or(defaults.guidance_scale);
  json["max_sequence_length"] = r.max_sequence_length.value_or(defaults.max_sequence_length);
  json["noise_order"] = name_of(kOrders, r.noise_order);
  json["batch_noise"] = name_of(kBatchNoises, r.batch_noise);
  json["width"] = r.width.value_or(defaults.width);
  json["sizing"] = name_of(kSizings, r.sizing);
  json["layout"] = name_of(kLayouts, settings.mask.empty() ? r.layout : Layout::kCopy);
  json["output_size"] = name_of(kOutputSizes, r.source_size);
  json["feather"] = r.feather;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void set_from_json(EditSettings& settings, const std::string& json, const std::string& where) {
  const Json object = parse_object(json, where);
  const std::vector<Option> options = edit_options(settings);
  for (const auto& [key, value] : object.items()) {
    if (!value.is_null()) set_by_key(options, where, key, value_text(value, where, key));
  }
}

}  // namespace icedit
