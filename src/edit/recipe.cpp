#include "edit/recipe.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/process.h"
#include "base/version.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kHashedWhole = uint64_t{256} << 20;

// The JSON header of a safetensors file, with its length in front; the first bytes of any other
// file.
std::string header_of(const Path& file) {
  const MappedFile mapped(file);
  const Bytes bytes = mapped.bytes();
  uint64_t length = 0;
  if (bytes.size() >= sizeof length) std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t wanted = std::min<uint64_t>(length, uint64_t{64} << 20) + sizeof length;
  return {reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(wanted, bytes.size())};
}

Json fingerprint_json(const Fingerprint& print) {
  return {{"sha256", print.sha256}, {"sha256_of", print.of}};
}

// The value under `key`, or an empty one where it is missing or of another type.
template <class T>
T get(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  try {
    return value.get<T>();
  } catch (const Json::exception&) {
    return {};
  }
}

Fingerprint fingerprint_from(const Json& json) {
  return {get<std::string>(json, "sha256"), get<std::string>(json, "sha256_of")};
}

Json source_json(const SourceRecord& source) {
  return {{"file", source.file}, {"sha256", source.sha256}};
}

SourceRecord source_from(const Json& json) {
  return {get<std::string>(json, "file"), get<std::string>(json, "sha256")};
}

// Scale and bytes of every adapter, whatever their names.
std::string what_counts(const std::vector<AdapterRecord>& adapters) {
  std::string text;
  for (const AdapterRecord& a : adapters) text += str(a.scale, " ", a.fingerprint.sha256, "\n");
  return text;
}

void compare(std::vector<std::string>& lines, const char* what, const std::string& was,
             const std::string& is) {
  if (was != is) lines.push_back(str(what, " was ", was.empty() ? "unknown" : was, ", is ", is));
}

// The parts of a recipe that are of one step.
void add_step(Json& json, const StepRecord& step) {
  json["edit"] = settings_json(step.edit);
  if (step.picture) json["picture"] = *step.picture;
  if (step.mask) json["mask"] = source_json(*step.mask);
  if (step.detail) json["detail"] = detail_json(*step.detail);
  if (step.speed) json["speed"] = speed_json(*step.speed);
  json["file"] = {{"format", name_of(format_choices(), step.file.format)}};
  if (step.file.format != ImageFormat::kPng) json["file"]["quality"] = step.file.quality;
}

StepRecord step_from(const Json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("edit") || !json["edit"].is_object()) {
    throw DataError(
        str(where, ": its recipe is damaged (no object 'edit' in the text '", kRecipeKey, "')"));
  }
  StepRecord step;
  set_from_json(edit_options(step.edit), json["edit"], where + ", recipe");
  if (json.contains("picture")) step.picture = get<int64_t>(json, "picture");
  if (json.contains("mask")) step.mask = source_from(json["mask"]);
  const Json file = get<Json>(json, "file");
  const std::string format = get<std::string>(file, "format");
  for (const auto& [name, value] : format_choices())
    if (name == format) step.file.format = value;
  if (const int quality = get<int>(file, "quality"); quality >= 1 && quality <= 100)
    step.file.quality = quality;
  return step;
}

ComponentRecord component_record(const ModelFiles& files, Part part) {
  const Component component = files.open(part);
  const std::vector<Path> paths = component.checkpoint.files();
  ComponentRecord record{{}, component.checkpoint.total_bytes(), fingerprint(paths)};
  for (const Path& path : paths) record.files.push_back(path.filename().string());
  return record;
}

}  // namespace

Fingerprint fingerprint(const std::vector<Path>& files) {
  std::vector<Path> sorted = files;
  std::sort(sorted.begin(), sorted.end());
  uint64_t total = 0;
  for (const Path& file : sorted) total += fs::file_size(file);
  const bool whole = total <= kHashedWhole;
  // One file of which all is hashed has the hash that sha256sum prints; others have the hash of a
  // list of such.
  if (whole && sorted.size() == 1) return {sha256_file(sorted[0]), "contents"};
  std::string list;
  for (const Path& file : sorted) {
    list += str(file.filename().string(), " ", fs::file_size(file), " ",
                whole ? sha256_file(file) : sha256(header_of(file)), "\n");
  }
  return {sha256(list), whole ? "contents" : "headers and sizes"};
}

std::string without_folders(const std::string& name) {
  std::error_code ignored;
  if (!fs::exists(name, ignored)) return name;
  const Path path = fs::path(name).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

RunRecord describe_run(const Residency& residency) {
  RunRecord run;
  run.version = version();
  run.model = residency.files().name();
  for (const Part part : kParts)
    run.components[part_name(part)] = component_record(residency.files(), part);
  for (const EditAdapter& adapter : residency.adapters()) {
    const Path& file = adapter.fitted.path;
    run.adapters.push_back(
        {adapter.name, file.filename().string(), adapter.scale, fingerprint({file})});
  }
  run.device = residency.device().str();
  run.dtype = dtype_text(residency.precision().compute);
  run.noise_dtype = dtype_text(residency.precision().noise);
  run.quant = quant_text(residency);
  run.cpu = cpu_kind();
  run.threads = at::get_num_threads();
  return run;
}

Json run_json(const RunRecord& run) {
  Json json = {{"version", run.version}};
  json["model"]["name"] = run.model;
  for (const Part part : kParts) {
    const ComponentRecord& component = run.components.at(part_name(part));
    Json& of = json["model"][part_name(part)];
    of = {{"files", component.files}, {"bytes", component.bytes}};
    of.update(fingerprint_json(component.fingerprint));
  }
  json["adapters"] = Json::array();
  for (const AdapterRecord& a : run.adapters) {
    json["adapters"].push_back({{"name", a.name}, {"file", a.file}, {"scale", a.scale}});
    json["adapters"].back().update(fingerprint_json(a.fingerprint));
  }
  json["device"] = run.device;
  json["dtype"] = run.dtype;
  json["noise_dtype"] = run.noise_dtype;
  json["quant"] = run.quant;
  json["cpu"] = run.cpu;
  json["threads"] = run.threads;
  return json;
}

RunRecord run_from_json(const Json& json) {
  RunRecord run;
  run.version = get<std::string>(json, "version");
  const Json model = get<Json>(json, "model");
  run.model = get<std::string>(model, "name");
  for (const Part part : kParts) {
    const Json of = get<Json>(model, part_name(part));
    run.components[part_name(part)] = {get<std::vector<std::string>>(of, "files"),
                                       get<uint64_t>(of, "bytes"), fingerprint_from(of)};
  }
  for (const Json& of : get<std::vector<Json>>(json, "adapters"))
    run.adapters.push_back({get<std::string>(of, "name"), get<std::string>(of, "file"),
                            get<double>(of, "scale"), fingerprint_from(of)});
  run.device = get<std::string>(json, "device");
  run.dtype = get<std::string>(json, "dtype");
  run.noise_dtype = get<std::string>(json, "noise_dtype");
  run.quant = get<std::string>(json, "quant");
  if (run.quant.empty()) run.quant = quant_name(Quant::kNone);  // of programs that had none
  run.cpu = get<std::string>(json, "cpu");
  run.threads = get<int>(json, "threads");
  return run;
}

std::vector<std::string> differences(const RunRecord& then, const RunRecord& now) {
  std::vector<std::string> lines;
  for (const auto& [part, component] : now.components) {
    const auto was = then.components.find(part);
    if (was == then.components.end() ||
        was->second.fingerprint.sha256 != component.fingerprint.sha256)
      lines.push_back("another " + part);
  }
  if (what_counts(then.adapters) != what_counts(now.adapters))
    lines.emplace_back("other adapters or scales");
  compare(lines, "version", then.version, now.version);
  compare(lines, "dtype", then.dtype, now.dtype);
  compare(lines, "noise_dtype", then.noise_dtype, now.noise_dtype);
  compare(lines, "quant", then.quant, now.quant);
  return lines;
}

std::vector<std::string> small_differences(const RunRecord& then, const RunRecord& now) {
  std::vector<std::string> lines;
  compare(lines, "device", then.device, now.device);
  compare(lines, "cpu", then.cpu, now.cpu);
  compare(lines, "threads", then.threads == 0 ? "" : str(then.threads), str(now.threads));
  return lines;
}

SourceRecord source_record(const Path& file) {
  return {file.filename().string(), sha256_file(file)};
}

const Choices<ImageFormat>& format_choices() {
  static const Choices<ImageFormat> all = {
      {"png", ImageFormat::kPng}, {"jpeg", ImageFormat::kJpeg}, {"webp", ImageFormat::kWebp}};
  return all;
}

StepRecord step_record(const EditSettings& settings, const EditRequest& request,
                       const ModelDefaults& defaults) {
  StepRecord step;
  step.edit = resolved(settings, defaults, request.seed);
  step.edit.request.region = request.region;  // "auto" is now a box
  step.file.quality = int(settings.quality.value_or(kQuality));
  return step;
}

void add_made(const EditedImage& edited, size_t index, StepRecord& step) {
  step.edit.seed = edited.seed;
  if (edited.detail) step.detail = edited.detail->figures;
  step.speed = edited.speed;
  if (step.edit.request.num_images > 1) step.picture = int64_t(index);
}

bool is_lossless(const FileRecord& file) {
  return file.format == ImageFormat::kPng ||
         (file.format == ImageFormat::kWebp && file.quality == 100);
}

Image stored_pixels(Bytes bytes, const std::string& where) {
  ReadOptions options;
  options.max_pixels = std::numeric_limits<int64_t>::max();
  options.keep_alpha = true;
  return decode_image(bytes, where, options);
}

std::string pixels_hash(const Image& image) {
  std::string bytes = str(image.width, "x", image.height, "x", image.channels, "\n");
  bytes.append(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
  return sha256(bytes);
}

bool was_changed(const Recipe& recipe, const Image& there) {
  return !recipe.result.empty() && pixels_hash(there) != recipe.result;
}

Json detail_json(const DetailFigures& f) {
  const auto rounded = [](double v) { return std::round(v * 1e4) / 1e4; };
  return {{"shift", {rounded(f.shift_x), rounded(f.shift_y)}},
          {"zoom", std::round(f.zoom * 1e6) / 1e6},
          {"bend", rounded(f.bend)},
          {"percent_kept", rounded(f.kept)},
          {"percent_colour", rounded(f.colour)},
          {"percent_content", rounded(f.content)}};
}

Json speed_json(const SpeedFigures& f) {
  Json json = {{"calls", f.calls}, {"steps", f.steps}};
  if (f.decibels) json["estimated_db"] = std::round(*f.decibels * 100) / 100;
  return json;
}

PictureText recipe_text(const Recipe& recipe) {
  RunRecord run = recipe.run;
  run.model = without_folders(run.model);
  for (AdapterRecord& adapter : run.adapters) adapter.name = without_folders(adapter.name);
  Json json = run_json(run);
  add_step(json, recipe.steps.back());
  json["source"] = source_json(recipe.source);
  for (size_t i = 0; i + 1 < recipe.steps.size(); ++i)
    add_step(json["before"].emplace_back(), recipe.steps[i]);
  if (!recipe.result.empty()) json["result_sha256"] = recipe.result;
  return {{kRecipeKey, dumped(json)},
          {"Description", recipe.steps.back().edit.request.instruction},
          {"Software", str("icedit ", version())}};
}

std::string encode_with_recipe(const EditedImage& edited, Recipe recipe) {
  const FileRecord& file = recipe.steps.back().file;
  const auto encode = [&](const PictureText& text) {
    return encode_image(edited.image, file.format, text, file.quality, edited.colour_profile,
                        edited.exif);
  };
  if (is_lossless(file)) {
    recipe.result = pixels_hash(edited.image);
  } else {
    const std::string bytes = encode({});
    recipe.result = pixels_hash(stored_pixels(as_bytes(bytes), "the edit"));
  }
  return encode(recipe_text(recipe));
}

std::string read_recipe_text(const Path& picture) {
  const PictureText text = read_picture_text(picture);
  const auto found = text.find(kRecipeKey);
  return found == text.end() ? "" : found->second;
}

Recipe parse_recipe(const std::string& text, const std::string& where) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  Recipe recipe;
  for (const Json& before : get<std::vector<Json>>(json, "before"))
    recipe.steps.push_back(step_from(before, where));
  recipe.steps.push_back(step_from(json, where));
  recipe.run = run_from_json(json);
  recipe.source = source_from(get<Json>(json, "source"));
  recipe.result = get<std::string>(json, "result_sha256");
  return recipe;
}

Recipe read_recipe(const Path& picture) {
  const std::string text = read_recipe_text(picture);
  if (!text.empty()) return parse_recipe(text, picture.string());
  throw DataError(str(picture.string(),
                      ": there is no recipe in it; only pictures that icedit wrote, and that no "
                      "other program has saved again, have one"));
}

Path find_source(const SourceRecord& source, const Path& picture, const std::string& given,
                 const std::string& what, const char* flag) {
  if (!given.empty()) {
    if (sha256_file(given) == source.sha256) return given;
    throw NoInputError(str(given, " is not ", what, " of ", picture.string(), ", which was ",
                           source.file, " with SHA-256 ", source.sha256, "; give that file"));
  }
  const Path folder = picture.has_parent_path() ? picture.parent_path() : Path(".");
  const auto is_it = [&](const Path& file) {
    std::error_code ignored;
    return fs::is_regular_file(file, ignored) && sha256_file(file) == source.sha256;
  };
  if (!source.file.empty() && is_it(folder / Path(source.file).filename()))
    return folder / Path(source.file).filename();
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_picture_name(it->path()) && is_it(it->path())) return it->path();
  }
  throw NoInputError(str(what, " of ", picture.string(), " is not beside it: ", source.file,
                         " with SHA-256 ", source.sha256, "; put it there",
                         flag == nullptr ? "" : str(", or give it with ", flag)));
}

Path find_original(const Recipe& recipe, const Path& picture, const std::string& given) {
  return find_source(recipe.source, picture, given, "the original", "--image");
}

Path find_mask(const Recipe& recipe, size_t i, const Path& picture) {
  const std::optional<SourceRecord>& mask = recipe.steps[i].mask;
  return mask ? find_source(*mask, picture, "", str("the mask of step ", i + 1), nullptr) : Path();
}

std::string quant_text(const Residency& residency) {
  const std::string quant = quant_name(residency.quant());
  return residency.gguf_compute() == GgufCompute::kInt8 ? quant + ", GGUF in int8" : quant;
}

std::string dtype_text(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return at::toString(type);
  }
}

}  // namespace icedit
