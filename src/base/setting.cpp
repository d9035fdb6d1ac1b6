#include "base/setting.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "base/home.h"
#include "base/nearest.h"

namespace icedit {
namespace {

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

bool is_text(const Given& given) {
  return given.kind == Given::Kind::kText;
}

bool is_path(const Setting& setting) {
  const auto& names = {"PATH", "FILE", "FOLDER", "PICTURE", "MODEL"};
  return std::any_of(names.begin(), names.end(), [&](const char* name) {
    return setting.value.find(name) != std::string::npos;
  });
}

}  // namespace

Setting::Setting(const std::string& names, std::string value, std::string help,
                 std::string fallback, Variable variable)
    : value(std::move(value)),
      help(std::move(help)),
      fallback(std::move(fallback)),
      variable(std::move(variable)) {
  std::istringstream words(names);
  for (std::string word; words >> word; aliases.push_back(word)) {
    if (word.ends_with(',')) word.pop_back();
  }
  name = aliases.front();
  aliases.erase(aliases.begin());
}

void Setting::set(Given given) const {
  if (is_path(*this)) {
    given.text = expand_home(given.text);
    for (std::string& one : given.list) one = expand_home(one);
  }
  variable.set(given);
}

void throw_value_error(const Given& given, const std::string& expected) {
  const bool nothing = given.kind == Given::Kind::kNothing;
  const std::string got = nothing          ? "nothing"
                          : is_text(given) ? str("'", given.text, "'")
                                           : given.text;
  throw UsageError(str(given.where, " is ", got, ", expected ", expected));
}

std::string key_of(const Setting& setting) {
  return with_underscores(setting.name);
}

void set_by_key(const std::vector<Setting>& settings, const std::string& file,
                const std::string& key, Given value) {
  const std::string name = with_dashes(key);
  std::vector<std::string> known;
  for (const Setting& setting : settings) {
    const auto& aliases = setting.aliases;
    known.push_back(key_of(setting));
    if (with_dashes(setting.name) != name &&
        std::find(aliases.begin(), aliases.end(), name) == aliases.end())
      continue;
    value.where = str(file, ": '", key, "'");
    return setting.set(value);
  }
  throw UsageError(
      str(file, ": unknown key '", key, "'", did_you_mean(with_underscores(key), known)));
}

int64_t integer_value(const Given& given, int64_t least, int64_t most) {
  int64_t value = 0;
  const char* end = given.text.data() + given.text.size();
  const auto [stop, error] = std::from_chars(given.text.data(), end, value);
  if (is_text(given) && error == std::errc() && stop == end && value >= least && value <= most)
    return value;
  const bool any = least == std::numeric_limits<int64_t>::min();
  const bool bounded = most != std::numeric_limits<int64_t>::max();
  throw_value_error(given, any       ? "a whole number of at most 64 bits"
                           : bounded ? str("a whole number from ", least, " to ", most)
                                     : str("a whole number, at least ", least));
}

double number_value(const Given& given, double least, double most) {
  double value = 0;
  const char* begin = given.text.data();
  const char* end = begin + given.text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (is_text(given) && error == std::errc() && stop == end && value >= least && value <= most)
    return value;
  throw_value_error(given, str("a number from ", least, " to ", most));
}

bool switch_value(const Given& given) {
  const auto is = [&](const char* word) { return is_text(given) && given.text == word; };
  for (const char* yes : {"true", "1", "yes", "on"}) {
    if (is(yes)) return true;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    if (is(no)) return false;
  }
  throw_value_error(given, "true or false");
}

std::string text_value(const Given& given) {
  if (given.kind == Given::Kind::kTruth)
    throw_value_error(given, "a text; this word without quotes is true or false");
  if (!is_text(given) && given.kind != Given::Kind::kNothing) throw_value_error(given, "a text");
  return given.text;
}

std::vector<std::string> texts_value(const Given& given) {
  if (given.kind == Given::Kind::kGroup) throw_value_error(given, "a text or a list of texts");
  return given.kind == Given::Kind::kList || given.kind == Given::Kind::kNothing
             ? given.list
             : std::vector{text_value(given)};
}

size_t choice_index(const Given& given, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), given.text);
  if (found != names.end() && (is_text(given) || given.kind == Given::Kind::kTruth))
    return static_cast<size_t>(found - names.begin());
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    list += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  throw_value_error(given, list + did_you_mean(given.text, names));
}

Variable into(std::string& value) {
  return {[&value](const Given& given) { value = text_value(given); },
          [&value]() -> SettingValue { return value; }};
}

Variable into(std::vector<std::string>& value) {
  return {[&value](const Given& given) { value = texts_value(given); },
          [&value]() -> SettingValue { return value; }};
}

Variable into(bool& value) {
  return {[&value](const Given& given) { value = switch_value(given); },
          [&value]() -> SettingValue { return value; }};
}

Variable number(double& value, double least, double most) {
  return {[&value, least, most](const Given& given) { value = number_value(given, least, most); },
          [&value]() -> SettingValue { return value; }};
}

Variable number(std::optional<double>& value, double least, double most) {
  return {[&value, least, most](const Given& given) { value = number_value(given, least, most); },
          [&value]() -> SettingValue { return value ? SettingValue(*value) : SettingValue(); }};
}

}  // namespace icedit
