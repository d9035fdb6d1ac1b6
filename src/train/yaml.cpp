#include "train/yaml.h"

#include <yaml-cpp/yaml.h>

#include <map>
#include <utility>

#include "base/error.h"

namespace icedit {
namespace {

constexpr int kMaxDepth = 50;  // an alias may stand within what it names
constexpr const char* kMerge = "<<";

// YAML allows a key once; yaml-cpp keeps both and reads the first.
void expect_keys_once(const YAML::Node& node, const std::string& path, const std::string& where,
                      int depth = 0) {
  if (depth > kMaxDepth)
    throw UsageError(str(where, ": '", path, "' is nested more than ", kMaxDepth, " deep"));
  for (size_t i = 0; node.IsSequence() && i < node.size(); ++i)
    expect_keys_once(node[i], path, where, depth + 1);
  if (!node.IsMap()) return;
  std::map<std::string, int> lines;
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>("");
    const std::string full = path.empty() ? name : path + "." + name;
    const int line = entry.first.Mark().line + 1;
    const auto [first, fresh] = lines.emplace(name, line);
    if (!fresh)
      throw UsageError(str(where, ": the key '", full, "' stands in line ", first->second,
                           " and again in line ", line, "; leave one of them out"));
    expect_keys_once(entry.second, full, where, depth + 1);
  }
}

void merge_from(YAML::Node node, const YAML::Node& from, const std::string& where) {
  if (!from.IsMap())
    throw UsageError(str(where, ": '<<' in line ", node.Mark().line + 1,
                         " names no group of keys, expected one or a list of them"));
  for (const auto& entry : from) {
    const auto name = entry.first.as<std::string>("");
    if (!std::as_const(node)[name].IsDefined()) node[name] = entry.second;
  }
}

bool contains(const YAML::Node& node, const YAML::Node& part) {
  if (node.is(part)) return true;
  for (const auto& entry : node)
    if (contains(node.IsMap() ? entry.second : entry, part)) return true;
  return false;
}

bool shares(const YAML::Node& node, const YAML::Node& other) {
  if (contains(other, node)) return true;
  for (const auto& entry : node)
    if (shares(node.IsMap() ? entry.second : entry, other)) return true;
  return false;
}

}  // namespace

YAML::Node read_yaml(const std::string& text, const std::string& where) try {
  const std::vector<YAML::Node> documents = YAML::LoadAll(text);
  if (documents.size() > 1)
    throw UsageError(str(where, " holds ", documents.size(),
                         " YAML documents, expected one: is there a line --- too many?"));
  const YAML::Node root = documents.empty() ? YAML::Node() : documents[0];
  expect_keys_once(root, "", where);
  return root;
} catch (const YAML::Exception& error) {  // theirs, with the line
  throw UsageError(str(where, " is no YAML: ", error.what()));
}

void merge_keys(YAML::Node node, const std::string& where) {
  for (auto entry : node) merge_keys(node.IsMap() ? entry.second : entry, where);
  if (!node.IsMap()) return;
  const YAML::Node from = std::as_const(node)[kMerge];
  if (!from.IsDefined()) return;
  node.remove(kMerge);
  if (!from.IsSequence()) return merge_from(node, from, where);
  for (const auto& one : from) merge_from(node, one, where);  // the first of a list wins
}

bool is_anchored(const YAML::Node& root, const std::string& key) {
  const YAML::Node value = root[key];
  for (const auto& entry : root)
    if (entry.first.as<std::string>("") != key && shares(value, entry.second)) return true;
  return false;
}

std::optional<bool> truth(const YAML::Node& node) {
  static const std::map<std::string, bool> words = [] {
    std::map<std::string, bool> all;
    for (const char* yes : {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
      all[yes] = true;
    for (const char* no : {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
      all[no] = false;
    return all;
  }();
  const auto found = node.IsScalar() ? words.find(node.Scalar()) : words.end();
  return found == words.end() ? std::nullopt : std::optional(found->second);
}

bool is_plain_truth(const YAML::Node& node) {
  return truth(node) && node.Tag() == "?";  // "!": quoted
}

}  // namespace icedit
