#include "server/edit_form.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "base/counted.h"
#include "edit/recipe.h"
#include "io/utf8.h"

namespace icedit::server {
namespace {

constexpr int64_t kMostImages = 10;
constexpr int64_t kMostPartials = 3;  // OpenAI's
constexpr int64_t kMostPreviews = 100;
constexpr int64_t kLargestSide = 8192;                      // of `size`
constexpr uint64_t kLargestSeed = (uint64_t{1} << 53) - 1;  // that every JSON reader keeps
constexpr double kLargestScale = 10;
constexpr size_t kLongestName = 200;
constexpr int64_t kMostWidths = 8, kUsuallyWidest = 2048;  // of the model's own; pixels

// Read under names of their own. Of those that are of files none is asked for here, and `quality`
// is OpenAI's word for another thing.
const std::set<std::string> kOwnFields = {"instruction", "num-images"};
// OpenAI's fields that change nothing here.
const std::set<std::string> kIgnored = {"quality", "background", "input_fidelity", "moderation",
                                        "user"};

std::vector<Setting> settings_of(EditSettings& settings) {
  std::vector<Setting> all = edit_options(settings);
  std::erase_if(
      all, [](const Setting& s) { return is_of_files(s.name) || kOwnFields.count(s.name) != 0; });
  return all;
}

class FormReader {
 public:
  FormReader(Json fields, FormKind kind, const Options& options, const ModelFacts& facts)
      : fields_(std::move(fields)), kind_(kind), options_(options), facts_(facts) {}

  EditForm read(std::vector<http::File> files);

 private:
  // Takes the first of these names that is there; nothing where it is missing or null.
  std::optional<Json> take(std::initializer_list<const char*> names);
  std::optional<int64_t> take_integer(std::initializer_list<const char*> names, int64_t least,
                                      int64_t most);
  bool take_switch(const char* name);
  // The first of the choices where the field is missing.
  template <class T>
  T take_choice(const char* name, const Choices<T>& choices);

  void take_pictures(std::vector<http::File> files);
  void take_prompt();
  void take_model();
  void take_format();
  void take_size();
  void take_adapters();
  void take_settings();
  void take_seed();
  void check_limits();

  Json fields_;
  const FormKind kind_;
  const Options& options_;
  const ModelFacts& facts_;
  std::string taken_;  // the name under which take() found it
  EditForm form_;
};

std::optional<Json> FormReader::take(std::initializer_list<const char*> names) {
  std::optional<Json> found;
  for (const char* name : names) {
    const auto at = fields_.find(name);
    if (at == fields_.end()) continue;
    if (found)
      throw_bad_field(name, str("'", taken_, "' and '", name, "' mean the same; give one"));
    taken_ = name;
    if (!at->is_null()) found = *at;
    fields_.erase(at);
  }
  return found;
}

std::optional<int64_t> FormReader::take_integer(std::initializer_list<const char*> names,
                                                int64_t least, int64_t most) {
  const std::optional<Json> value = take(names);
  if (!value) return std::nullopt;
  try {
    return integer_value({str("'", taken_, "'"), text_of(*value)}, least, most);
  } catch (const UsageError& error) {
    throw_bad_field(taken_, error.what());
  }
}

bool FormReader::take_switch(const char* name) {
  const std::optional<Json> value = take({name});
  if (!value) return false;
  const std::string text = text_of(*value);
  if (text == "true" || text == "True" || text == "1") return true;
  if (text == "false" || text == "False" || text == "0") return false;
  throw_bad_field(name, str("'", name, "' is '", text, "', expected true or false"));
}

template <class T>
T FormReader::take_choice(const char* name, const Choices<T>& choices) {
  const std::optional<Json> value = take({name});
  if (!value) return choices.front().second;
  const std::string text = text_of(*value);
  std::vector<std::string> names;
  for (const auto& [choice, meaning] : choices) {
    if (choice == text) return meaning;
    names.push_back(choice);
  }
  throw_bad_field(
      name, str("'", name, "' is '", text.substr(0, 100), "', expected one of ", joined(names)));
}

// How a picture is called in messages and in its recipe.
std::string name_of(const http::File& file) {
  const std::string name = one_line(valid_utf8(file.name)).substr(0, kLongestName);
  return name.empty() ? file.field : valid_utf8(name);
}

void FormReader::take_pictures(std::vector<http::File> files) {
  JobInput& input = form_.input;
  for (http::File& file : files) {
    const bool mask = file.field == "mask";
    std::string& bytes = mask ? input.mask : input.image;
    if (!bytes.empty()) {
      throw_bad_field(file.field,
                      mask ? "there is more than one mask; an edit takes one"
                           : "there is more than one picture; the model edits one at a time, and "
                             "has no way to combine several: send a request for each",
                      "too_many_images");
    }
    (mask ? input.settings.mask : input.settings.image) = name_of(file);
    bytes = std::move(file.bytes);
  }
  if (input.image.empty())
    throw_bad_field("image", "there is no picture; send one as the file 'image'", "missing_image");
  input.mask_by_alpha = kind_ == FormKind::kImages;
}

void FormReader::take_prompt() {
  const Json prompt = take({"prompt", "instruction"}).value_or("");
  if (!prompt.is_string()) throw_bad_field("prompt", "'prompt' is no text");
  std::string text = prompt.get<std::string>();
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw_bad_field("prompt",
                    "'prompt' is empty; say what is to be changed, as in \"make it winter\"");
  }
  if (int64_t(text.size()) > options_.max_prompt) {
    throw_bad_field("prompt", str("'prompt' has ", text.size(), " bytes, expected at most ",
                                  options_.max_prompt));
  }
  if (text.find('\0') != std::string::npos) throw_bad_field("prompt", "'prompt' holds a NUL");
  form_.input.settings.request.instruction = std::move(text);
}

void FormReader::take_model() {
  const std::optional<Json> model = take({"model"});
  if (!model) return;
  const std::string name = text_of(*model);
  if (name == facts_.name || name == "icedit" || name == "dall-e-2" || name.empty() ||
      name.starts_with("gpt-image-") || name == "chatgpt-image-latest")
    return;
  throw RequestError(
      {404, "model_not_found", "model",
       str("there is no model '", name.substr(0, 100), "' here, only '", facts_.name, "'")});
}

void FormReader::take_format() {
  form_.input.format = take_choice("output_format", format_choices());
  if (const auto quality = take_integer({"output_compression"}, 0, 100))
    form_.input.settings.quality = std::max<int64_t>(1, *quality);
  form_.as_url = take_choice<bool>("response_format", {{"b64_json", false}, {"url", true}});
}

void FormReader::take_size() {
  const Json value = take({"size"}).value_or("auto");
  const std::string text = text_of(value);
  if (text == "auto" || text.empty()) return;
  Size size;
  const char* end = text.data() + text.size();
  const auto [x, error] = std::from_chars(text.data(), end, size.width);
  const bool ok = error == std::errc() && x != end && *x == 'x' &&
                  std::from_chars(x + 1, end, size.height).ptr == end;
  if (!ok || size.width < 16 || size.height < 16 || size.width > kLargestSide ||
      size.height > kLargestSide) {
    throw_bad_field("size",
                    str("'size' is '", text.substr(0, 100),
                        "', expected auto or WIDTHxHEIGHT, each from 16 to ", kLargestSide));
  }
  form_.input.size = size;
}

// "NAME", "NAME:SCALE", several with commas between, or a list of such; "none".
void FormReader::take_adapters() {
  std::vector<double>& scales = form_.input.scales;
  scales.assign(facts_.adapters.size(), 0.0);
  const std::optional<Json> value = take({"lora"});
  if (!value) {
    if (!scales.empty()) scales[0] = facts_.scales[0];
    return;
  }
  std::vector<std::string> wanted;
  for (const Json& one : value->is_array() ? *value : Json::array({*value})) {
    std::string text = text_of(one);
    for (size_t comma; (comma = text.find(',')) != std::string::npos; text.erase(0, comma + 1))
      wanted.emplace_back(http::trimmed(text.substr(0, comma)));
    wanted.emplace_back(http::trimmed(text));
  }
  for (const std::string& text : wanted) {
    if (text.empty() || text == "none") continue;
    const auto exact = std::find(facts_.adapters.begin(), facts_.adapters.end(), text);
    const size_t colon = exact == facts_.adapters.end() ? text.rfind(':') : std::string::npos;
    const std::string name = text.substr(0, colon);
    const auto found = std::find(facts_.adapters.begin(), facts_.adapters.end(), name);
    if (found == facts_.adapters.end()) {
      throw_bad_field("lora",
                      str("there is no LoRA '", name.substr(0, 100), "' here",
                          facts_.adapters.empty() ? "" : ", only " + joined(facts_.adapters)));
    }
    const auto i = size_t(found - facts_.adapters.begin());
    scales[i] = facts_.scales[i];
    if (colon == std::string::npos) continue;
    try {
      scales[i] = number_value({"the scale in 'lora'", text.substr(colon + 1)}, -kLargestScale,
                               kLargestScale);
    } catch (const UsageError& error) {
      throw_bad_field("lora", error.what());
    }
  }
}

void FormReader::take_settings() {
  const std::vector<Setting> settings = settings_of(form_.input.settings);
  for (const auto& [name, value] : fields_.items()) {
    if (kIgnored.count(name) != 0) continue;
    try {
      set_from_json(settings, Json{{name, value}}, "the request");
    } catch (const UsageError& error) {
      throw_bad_field(name.substr(0, 100), error.what(),
                      value.is_null() ? "unknown_parameter" : "invalid_value");
    }
  }
}

void FormReader::take_seed() {
  EditSettings& s = form_.input.settings;
  if (!s.seed) {
    std::random_device device;
    s.seed = std::uniform_int_distribution<uint64_t>(0, kLargestSeed)(device);
  }
  try {
    expect_seeds(*s.seed, s.request.num_images, "the request");
  } catch (const UsageError& error) {
    throw_bad_field("seed", error.what());
  }
}

void FormReader::check_limits() {
  const EditRequest& r = form_.input.settings.request;
  if (r.steps && *r.steps > options_.max_steps) {
    throw_bad_field("steps", str("'steps' is ", *r.steps, ", expected at most ", options_.max_steps,
                                 " on this server"));
  }
  const SpeedFault fault =
      speed_fault(r.speed, r.solver, r.steps.value_or(facts_.defaults.num_inference_steps));
  if (!fault.setting.empty()) throw_bad_field(fault.setting, fault.message);
  const int64_t widest = options_.max_width > 0
                             ? options_.max_width
                             : std::min(kMostWidths * facts_.defaults.width, kUsuallyWidest);
  if (r.width && *r.width > widest) {
    throw_bad_field("width",
                    str("'width' is ", *r.width, ", expected at most ", widest, " on this server"));
  }
  if (form_.input.size && r.source_size) {
    throw_bad_field("size",
                    "'size' and 'output_size' (or 'region') both say how large the picture "
                    "becomes; give one of them");
  }
  if (r.region && form_.input.settings.model_size)
    throw_bad_field("output_size",
                    "'output_size' is model, but a 'region' is put back into the photo at its own "
                    "size; give one of them");
  if (form_.input.settings.keep_location && !r.source_size)
    throw_bad_field("keep_location", "'keep_location' needs 'output_size' to be source");
}

EditForm FormReader::read(std::vector<http::File> files) {
  take_pictures(std::move(files));
  take_prompt();
  take_model();
  take_format();
  take_size();
  take_adapters();
  form_.input.settings.request.num_images =
      take_integer({"n", "num_images"}, 1, kMostImages).value_or(1);
  form_.stream = take_switch("stream");
  if (kind_ == FormKind::kImages) {
    form_.input.previews = take_integer({"partial_images"}, 0, kMostPartials).value_or(0);
    form_.input.previews_full = true;
    if (!form_.stream) form_.input.previews = 0;
  } else {
    form_.input.previews = take_integer({"previews"}, 0, kMostPreviews).value_or(0);
  }
  take_settings();
  take_seed();
  check_limits();
  return std::move(form_);
}

}  // namespace

std::vector<std::string> setting_fields() {
  EditSettings settings;
  std::vector<std::string> names;
  for (const Setting& setting : settings_of(settings)) names.push_back(key_of(setting));
  return names;
}

EditForm read_edit_form(Json fields, std::vector<http::File> files, FormKind kind,
                        const Options& options, const ModelFacts& facts) {
  return FormReader(std::move(fields), kind, options, facts).read(std::move(files));
}

EditForm read_edit_form(const http::Request& request, FormKind kind, const Options& options,
                        const ModelFacts& facts, http::Fetcher* fetcher) {
  std::vector<http::File> files;
  http::FormLimits limits;
  if (fetcher != nullptr) limits.fetch = std::ref(*fetcher);
  Json fields = http::parse_form(request, limits, files);
  return read_edit_form(std::move(fields), std::move(files), kind, options, facts);
}

}  // namespace icedit::server
