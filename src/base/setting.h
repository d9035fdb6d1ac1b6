#pragma once
// A setting, spelled once: its name, what it may be, its default and its help. From it come a flag
// of the command line, a key of a batch's line, of a recipe, of icedit.json or of a training's
// YAML, and a field of a request.
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace icedit {

// A value as it was given, and where: "--steps", or "edits.jsonl, line 3: 'steps'".
struct Given {
  // kNothing: null; kTruth: "true" or "false", where a file tells them from texts.
  enum class Kind { kText, kTruth, kNothing, kList, kGroup };

  std::string where, text;  // of a list or a group: what it is, for errors
  Kind kind = Kind::kText;
  std::vector<std::string> list = {};
};

// What a setting is now; monostate: unset.
using SettingValue = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string,
                                  std::vector<std::string>>;

// What a setting writes to. It must outlive the setting.
struct Variable {
  // Called for every time it is given, in order; throws UsageError.
  std::function<void(const Given&)> set;
  std::function<SettingValue()> get;  // none: nobody asks

  template <class Set>
  requires std::is_invocable_v<Set, const Given&> Variable(Set set) : set(std::move(set)) {}
  Variable(std::function<void(const Given&)> set, std::function<SettingValue()> get)
      : set(std::move(set)), get(std::move(get)) {}
};

struct Setting {
  // `names`: "output, o": the name, then other spellings.
  Setting(const std::string& names, std::string value, std::string help, std::string fallback,
          Variable variable);

  std::string name;                  // "num-images": the flag --num-images, the key num_images
  std::vector<std::string> aliases;  // other spellings; one letter "o" is -o
  // What follows the flag, for the help: "N"; "" for a switch, whose text is "true" or "false". A
  // word like PATH, FILE or FOLDER says that it is a path, which may begin with "~/".
  std::string value;
  std::string help;
  std::string fallback;  // the default, for the help; "" says nothing
  Variable variable;

  void set(Given given) const;  // a path with its "~" expanded
};

struct SettingGroup {
  std::string title;
  std::vector<Setting> settings;
};

// Sets the one that is called `key` in a file (dashes and underscores alike, aliases too). Throws
// UsageError naming the nearest key when there is none. `file` names the place in errors:
// "edits.jsonl, line 3".
void set_by_key(const std::vector<Setting>& settings, const std::string& file,
                const std::string& key, Given value);

// A name as a key of a file: "num_images".
std::string key_of(const Setting& setting);

// The value, or a UsageError: "--steps is 'many', expected a whole number from 1 to 1000".
int64_t integer_value(const Given& given, int64_t least,
                      int64_t most = std::numeric_limits<int64_t>::max());
double number_value(const Given& given, double least, double most);
bool switch_value(const Given& given);
std::string text_value(const Given& given);                // nothing is ""
std::vector<std::string> texts_value(const Given& given);  // a text is a list of one

// The index in `names`; a UsageError lists them.
size_t choice_index(const Given& given, const std::vector<std::string>& names);

// "GIVEN.WHERE is 'TEXT', expected EXPECTED".
[[noreturn]] void throw_value_error(const Given& given, const std::string& expected);

template <class T>
using Choices = std::vector<std::pair<std::string, T>>;

template <class T>
T choice_value(const Given& given, const Choices<T>& choices) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  return choices[choice_index(given, names)].second;
}

// The name of `value`; "" where it has none.
template <class T>
std::string name_of(const Choices<T>& choices, T value) {
  for (const auto& [name, choice] : choices) {
    if (choice == value) return name;
  }
  return "";
}

// Variables of the usual types.
Variable into(std::string& value);
Variable into(std::vector<std::string>& value);
Variable into(bool& value);
Variable number(double& value, double least, double most);
Variable number(std::optional<double>& value, double least, double most);

template <class T>  // an integer, or an optional one
Variable integer(T& value, int64_t least, int64_t most = std::numeric_limits<int64_t>::max()) {
  const auto set = [&value, least, most](const Given& given) {
    value = static_cast<T>(integer_value(given, least, most));
  };
  const auto get = [&value]() -> SettingValue {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<int64_t>(value);
    } else {
      return value ? SettingValue(static_cast<int64_t>(*value)) : SettingValue();
    }
  };
  return {set, get};
}

template <class T>
Variable choice(T& value, const Choices<T>& choices) {
  return {[&value, choices](const Given& given) { value = choice_value(given, choices); },
          [&value, choices]() -> SettingValue { return name_of(choices, value); }};
}

}  // namespace icedit
