#pragma once
// An option, spelled once: from it come the command line's flag and its help, the key of a JSON
// line, and the field of a request.
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace icedit {

// A value as it was given, and where: "--steps", or "edits.jsonl, line 3: 'steps'".
struct Given {
  std::string where, text;
};

struct Option {
  std::string name;                  // "num-images": the flag --num-images, the key num_images
  std::vector<std::string> aliases;  // other spellings; one letter "o" is -o
  // What follows it, for the help: "N"; "" for a switch, whose text is "true" or "false". A word
  // like PATH, FILE or FOLDER says that it is a path, which may begin with "~/".
  std::string value;
  std::string help;
  std::string fallback;  // the default, for the help; "" says nothing
  // Called for every time it is given, in order; throws UsageError.
  std::function<void(const Given&)> set;
};

struct OptionGroup {
  std::string title;
  std::vector<Option> options;
};

// Sets it, a path with its "~" expanded. `where`: for errors, as in Given.
void set_option(const Option& option, const std::string& where, const std::string& text);

// Sets the option that is called `key` in JSON (dashes and underscores alike, aliases too). Throws
// UsageError naming the nearest key when there is none. `file` names the place in errors:
// "edits.jsonl, line 3".
void set_by_key(const std::vector<Option>& options, const std::string& file, const std::string& key,
                const std::string& text);

// The value, or a UsageError: "--steps is 'many', expected a whole number from 1 to 1000".
int64_t integer_value(const Given& given, int64_t least,
                      int64_t most = std::numeric_limits<int64_t>::max());
double number_value(const Given& given, double least, double most);
bool switch_value(const Given& given);

// The index in `names`; a UsageError lists them.
size_t choice_index(const Given& given, const std::vector<std::string>& names);

template <class T>
T choice_value(const Given& given, const std::vector<std::pair<std::string, T>>& choices) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  return choices[choice_index(given, names)].second;
}

// Options that write straight into a variable, which must outlive them.
std::function<void(const Given&)> into(std::string& text);
std::function<void(const Given&)> into(bool& flag);

}  // namespace icedit
