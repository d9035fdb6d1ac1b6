#pragma once
// YAML as PyYAML's safe_load reads it, where yaml-cpp does otherwise. For config*.cpp alone.
#include <optional>
#include <string>

namespace YAML {
class Node;
}  // namespace YAML

namespace icedit {

// Throws UsageError naming `where`: no YAML, several documents, a key that stands twice (PyYAML
// takes the last, which nobody means).
YAML::Node read_yaml(const std::string& text, const std::string& where);

// Puts the keys of what "<<" names below the others of its group, all the way down. Throws
// UsageError: it names no group.
void merge_keys(YAML::Node node, const std::string& where);

// Whether the value of `key` at the top, or a part of it, stands elsewhere too, by its anchor.
bool is_anchored(const YAML::Node& root, const std::string& key);

// YAML 1.1's booleans: yes, True, off, and no y or n.
std::optional<bool> truth(const YAML::Node& node);
// A word that is a boolean because it stands without quotes.
bool is_plain_truth(const YAML::Node& node);

}  // namespace icedit
