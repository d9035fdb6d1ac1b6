#include "edit/edit_settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace icedit {
namespace {

constexpr uint64_t kLastSeed = std::numeric_limits<uint64_t>::max();
constexpr size_t kLongestReason = 200;
constexpr int64_t kMostImages = 4096;

const Choices<Sizing> kSizings = {{"fit", Sizing::kFit}, {"icedit", Sizing::kIcedit}};
const Choices<Layout> kLayouts = {{"copy", Layout::kCopy}, {"black", Layout::kBlack}};
const Choices<NoiseOrder> kOrders = {{"current", NoiseOrder::kCurrent},
                                     {"early", NoiseOrder::kEarly}};
const Choices<Speed> kSpeeds = {
    {"exact", Speed::kExact}, {"balanced", Speed::kBalanced}, {"fast", Speed::kFast}};
const Choices<Solver> kSolvers = {
    {"euler", Solver::kEuler}, {"ab2", Solver::kAb2}, {"dpmpp-2m", Solver::kDpmpp2m}};
const Choices<bool> kBatchNoises = {{"each", false}, {"diffusers", true}};
const Choices<bool> kDetails = {{"model", false}, {"keep", true}};
const Choices<bool> kOutputSizes = {{"model", false}, {"source", true}};

std::vector<Setting> what_to_edit(EditSettings& s) {
  return {
      {"image", "FILE", "the picture to edit: PNG, JPEG or WebP", "", into(s.image)},
      {"instruction", "TEXT", "what is to be changed", "", into(s.request.instruction)},
      {"output, o", "PATH", "the file to write (.png, .jpg, .webp), or a folder for several",
       "INPUT-edit-1.png", into(s.output)},
      {"mask", "FILE",
       "a picture that is white where the edit may change something; of the input's size", "all",
       into(s.mask)},
      {"feather", "PIXELS", "blend over so many pixels outside the mask's edge", "0",
       integer(s.request.feather, 0, 1024)},
  };
}

uint64_t seed_value(const Given& given) {
  if (given.text.starts_with('-'))
    return static_cast<uint64_t>(integer_value(given, std::numeric_limits<int64_t>::min(), -1));
  uint64_t seed = 0;
  const char* end = given.text.data() + given.text.size();
  const auto [stop, error] = std::from_chars(given.text.data(), end, seed);
  if (given.kind == Given::Kind::kText && error == std::errc() && stop == end) return seed;
  throw_value_error(given, str("a whole number from 0 to ", kLastSeed));
}

Variable seed_into(std::optional<uint64_t>& seed) {
  return {[&seed](const Given& given) { seed = seed_value(given); },
          [&seed]() -> SettingValue { return seed ? SettingValue(*seed) : SettingValue(); }};
}

Variable box_into(EditRequest& r) {
  const auto set = [&r](const Given& given) {
    if (given.kind == Given::Kind::kText) r.region = parse_box(given.text);
    if (!r.region)
      throw_value_error(given, "X,Y,W,H as 100,50,512,512, W and H at least 1, or auto");
    r.source_size = true;
  };
  const auto get = [&r]() -> SettingValue {
    return r.region ? SettingValue(box_text(*r.region)) : SettingValue();
  };
  return {set, get};
}

// The number of steps is known later (call_limit_fault).
Variable calls_into(std::optional<int64_t>& calls) {
  const Variable any = integer(calls, 1, kMostSteps);
  const auto set = [any](const Given& given) {
    try {
      any.set(given);
    } catch (const UsageError&) {
      throw_value_error(given, "a whole number from 2 to the number of steps (1 of one step)");
    }
  };
  return {set, any.get};
}

std::vector<Setting> how_to_sample(EditSettings& s) {
  EditRequest& r = s.request;
  return {
      {"seed", "N", "the same seed, the same picture", "random", seed_into(s.seed)},
      {"num-images", "N", "so many edits; the i-th has seed + i", "1",
       integer(r.num_images, 1, kMostImages)},
      {"steps, num-inference-steps", "N", "denoising steps", "the model's; FLUX's 28",
       integer(r.steps, 1, kMostSteps)},
      {"solver", "HOW",
       "euler: FLUX's own; ab2, dpmpp-2m: of the second order, which need fewer steps", "euler",
       choice(r.solver, kSolvers)},
      {"guidance, guidance-scale", "X", "how strongly the text is followed",
       "the model's; FLUX's 50", number(r.guidance, 0, kMostGuidance)},
      {"max-sequence-length", "N", "T5 tokens that are read, at most 512",
       "the model's; FLUX's 512", integer(r.max_sequence_length, 1, kMostTokens)},
      {"noise-order", "ORDER", "current or early: as diffusers draws since 0.33, or did until 0.32",
       "current", choice(r.noise_order, kOrders)},
      {"batch-noise", "HOW",
       "each: a draw for every seed; diffusers: one draw for all, as num_images_per_prompt", "each",
       choice(r.batch_noise, kBatchNoises)},
      {"speed", "HOW",
       "exact: every step asks the network; balanced, fast: others are forecast, for an estimated "
       "55 or 53 dB from exact",
       "exact", choice(r.speed.speed, kSpeeds)},
      {"speed-error", "DB",
       "forecast steps, but stay at or above so many estimated dB from exact, whatever --speed "
       "says; below some 48 calls get no fewer",
       "as --speed says", number(r.speed.error, kLeastDecibels, kMostDecibels)},
      {"calls", "N",
       "ask the network exactly so many times, spread evenly; the rest is forecast; not beside "
       "--speed-error or another --speed than exact",
       "the steps", calls_into(r.speed.calls)},
      {"reuse-left", "N",
       "one call of the network in N has the picture's own half; those between reuse its keys and "
       "values, which is faster and nearly the same; 1: each has it",
       "1", integer(r.speed.reuse_left, 1, kMostSteps)},
  };
}

Variable size_into(EditSettings& s) {
  return {[&s](const Given& given) {
            s.request.source_size = choice_value(given, kOutputSizes);
            s.model_size = !s.request.source_size;
          },
          [&s]() -> SettingValue { return name_of(kOutputSizes, s.request.source_size); }};
}

Variable detail_into(std::optional<bool>& keep) {
  return {[&keep](const Given& given) { keep = choice_value(given, kDetails); },
          [&keep]() -> SettingValue {
            return keep ? SettingValue(name_of(kDetails, *keep)) : SettingValue();
          }};
}

std::vector<Setting> how_large(EditSettings& s) {
  EditRequest& r = s.request;
  return {
      {"width", "PIXELS", "width at which the model works", "the model's; FLUX's 512",
       integer(r.width, 1, kWidest)},
      {"sizing", "RULE", "fit: no crop, no black rows; icedit: exactly as the published script",
       "fit", choice(r.sizing, kSizings)},
      {"layout", "WHAT", "copy or black: what stands in the right half before it is masked", "copy",
       choice(r.layout, kLayouts)},
      {"output-size", "SIZE", "model: as it was made; source: brought back to the input's size",
       "model", size_into(s)},
      {"detail", "WHAT",
       "with --output-size source; keep: what was not meant to change stays the input's; model: "
       "the edit is enlarged",
       "keep", detail_into(r.keep_detail)},
      {"detail-tolerance", "X",
       "with --output-size source: above 1 keeps more of the input, below 1 less", "1",
       number(r.detail_tolerance, 0.01, 100)},
      {"change-map", "FILE",
       "with --output-size source: write a PNG of the model's size, black where the input was "
       "kept, grey where its colours were changed, white where the model's pixels are",
       "", into(s.change_map)},
      {"quality", "N", "1 to 100, of JPEG and WebP", std::to_string(kQuality),
       integer(s.quality, 1, 100)},
      {"region", "X,Y,W,H",
       "edit only this part, in pixels of the upright picture, at the model's full width; auto: "
       "around the mask's white; implies --output-size source",
       "all", box_into(r)},
      {"keep-location", "",
       "keep where the photo was taken (GPS) in a full-size edit; date and camera always stay", "",
       into(s.keep_location)},
  };
}

Json parsed(const std::string& text, const std::string& where) {
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

}  // namespace

std::vector<Setting> edit_options(EditSettings& settings) {
  std::vector<Setting> options = what_to_edit(settings);
  for (const auto& more : {how_to_sample(settings), how_large(settings)}) {
    options.insert(options.end(), more.begin(), more.end());
  }
  return options;
}

EditSettings resolved(EditSettings s, const ModelDefaults& defaults, uint64_t seed) {
  EditRequest& r = s.request;
  s.seed = seed;
  if (!r.batch_noise) r.num_images = 1;
  r.steps = r.steps.value_or(defaults.num_inference_steps);
  r.guidance = r.guidance.value_or(defaults.guidance_scale);
  r.max_sequence_length = r.max_sequence_length.value_or(defaults.max_sequence_length);
  r.width = r.width.value_or(defaults.width);
  if (!s.mask.empty()) r.layout = Layout::kCopy;
  if (r.source_size) {
    r.keep_detail = r.keep_detail.value_or(true);
    r.detail_tolerance = r.detail_tolerance.value_or(1);
  }
  return s;
}

void expect_seeds(uint64_t seed, int64_t images, const std::string& where) {
  if (seed <= kLastSeed - static_cast<uint64_t>(images - 1)) return;
  throw UsageError(str(where, ": seed ", seed, " leaves no room for ", images,
                       " images, each with the next one, as the last seed is ", kLastSeed,
                       " (which -1 stands for)"));
}

bool is_of_files(const std::string& setting) {
  static const std::set<std::string> all = {"image", "output", "mask", "quality", "change-map"};
  return all.count(setting) != 0;
}

Json settings_json(EditSettings settings) {
  std::vector<Setting> shown = edit_options(settings);
  const SpeedSettings& speed = settings.request.speed;
  std::erase_if(shown, [&](const Setting& setting) {
    return is_of_files(setting.name) || (setting.name == "speed-error" && !speed.error) ||
           (setting.name == "calls" && !speed.calls) ||
           (setting.name == "speed" && (speed.error || speed.calls)) ||  // which say it all
           (setting.name == "reuse-left" && speed.reuse_left == 1) ||
           (setting.name.starts_with("detail") && !settings.request.source_size) ||
           (setting.name == "keep-location" && !settings.keep_location);
  });
  // What people look for comes first: the instruction, then the seed.
  const auto feather = std::find_if(shown.begin(), shown.end(),
                                    [](const Setting& s) { return s.name == "feather"; });
  std::rotate(feather, feather + 1, shown.end());
  return json_of(shown);
}

void set_from_json(EditSettings& settings, const std::string& json, const std::string& where) {
  set_from_json(edit_options(settings), parsed(json, where), where);
}

}  // namespace icedit
