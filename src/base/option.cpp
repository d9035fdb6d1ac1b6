#include "base/option.h"

#include <algorithm>
#include <charconv>
#include <cmath>

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

[[noreturn]] void throw_value_error(const Given& given, const std::string& expected) {
  throw UsageError(str(given.where, " is '", given.text, "', expected ", expected));
}

bool is_path(const Option& option) {
  const auto& names = {"PATH", "FILE", "FOLDER", "PICTURE", "MODEL"};
  return std::any_of(names.begin(), names.end(), [&option](const char* name) {
    return option.value.find(name) != std::string::npos;
  });
}

}  // namespace

void set_option(const Option& option, const std::string& where, const std::string& text) {
  option.set({where, is_path(option) ? expand_home(text) : text});
}

void set_by_key(const std::vector<Option>& options, const std::string& file, const std::string& key,
                const std::string& text) {
  const std::string name = with_dashes(key);
  std::vector<std::string> known;
  for (const Option& option : options) {
    const auto& aliases = option.aliases;
    if (option.name == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      return set_option(option, str(file, ": '", key, "'"), text);
    }
    known.push_back(with_underscores(option.name));
  }
  throw UsageError(
      str(file, ": unknown key '", key, "'", did_you_mean(with_underscores(key), known)));
}

int64_t integer_value(const Given& given, int64_t least, int64_t most) {
  int64_t value = 0;
  const char* end = given.text.data() + given.text.size();
  const auto [stop, error] = std::from_chars(given.text.data(), end, value);
  if (error == std::errc() && stop == end && value >= least && value <= most) return value;
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
  if (error == std::errc() && stop == end && value >= least && value <= most) return value;
  throw_value_error(given, str("a number from ", least, " to ", most));
}

bool switch_value(const Given& given) {
  for (const char* yes : {"true", "1", "yes", "on"}) {
    if (given.text == yes) return true;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    if (given.text == no) return false;
  }
  throw_value_error(given, "true or false");
}

size_t choice_index(const Given& given, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), given.text);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    list += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  throw_value_error(given, list + did_you_mean(given.text, names));
}

std::function<void(const Given&)> into(std::string& text) {
  return [&text](const Given& given) { text = given.text; };
}

std::function<void(const Given&)> into(bool& flag) {
  return [&flag](const Given& given) { flag = switch_value(given); };
}

}  // namespace icedit
