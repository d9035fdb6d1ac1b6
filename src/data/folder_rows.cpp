#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/locate.h"
#include "data/rows.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Pair {
  Path source, target;
  std::vector<std::string> instructions;
  std::string task, where, name;
  std::string bad = "";  // why its line cannot be read; the rest is then empty, but for `where`
};

class FolderRows : public EditRows {
 public:
  explicit FolderRows(std::vector<Pair> pairs) : pairs_(std::move(pairs)) {}

  int64_t size() const override { return int64_t(pairs_.size()); }
  std::string where(int64_t row) const override { return pairs_.at(row).where; }

  EncodedSample read(int64_t row) const override {
    const Pair& pair = pairs_.at(row);
    if (!pair.bad.empty()) throw DataError(pair.bad);
    struct Files {
      std::string source, target;
    };
    auto files = std::make_shared<Files>(Files{read_text(pair.source), read_text(pair.target)});
    EncodedSample sample;
    sample.source = std::as_bytes(std::span(files->source));
    sample.target = std::as_bytes(std::span(files->target));
    sample.owner = std::move(files);
    sample.instructions = pair.instructions;
    sample.task = pair.task;
    sample.where = pair.where;
    sample.name = pair.name;
    sample.source_file = pair.source.filename().string();
    sample.target_file = pair.target.filename().string();
    return sample;
  }

  std::vector<std::string> tasks() const override {
    std::vector<std::string> tasks;
    for (const Pair& pair : pairs_) tasks.push_back(pair.task);
    const bool any =
        std::any_of(tasks.begin(), tasks.end(), [](const auto& t) { return !t.empty(); });
    return any ? tasks : std::vector<std::string>();
  }

 private:
  std::vector<Pair> pairs_;
};

std::string text_of(const json& line, const char* key, const std::string& where) {
  const auto found = line.find(key);
  if (found != line.end() && found->is_string()) return found->get<std::string>();
  throw DataError(
      str(where, ": expected an object with \"source\", \"target\" and \"instruction\", but \"",
          key, "\" is ", found == line.end() ? "missing" : "no text"));
}

Pair pair_of(const std::string& text, const Path& folder, const std::string& where) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) throw DataError(str(where, ": this is no JSON object"));
  Pair pair;
  const Path source = text_of(line, "source", where);
  pair.name = (source.parent_path() / source.stem()).string();
  pair.source = folder / source;
  pair.target = folder / text_of(line, "target", where);
  const auto instructions = line.find("instruction");
  if (instructions != line.end() && instructions->is_array()) {
    for (const json& instruction : *instructions) {
      if (!instruction.is_string())
        throw DataError(str(where, ": \"instruction\" is not all text"));
      pair.instructions.push_back(instruction.get<std::string>());
    }
    if (pair.instructions.empty())
      throw DataError(str(where, ": \"instruction\" is an empty list"));
  } else {
    pair.instructions = {text_of(line, "instruction", where)};
  }
  if (line.contains("task")) pair.task = text_of(line, "task", where);
  pair.where = where;
  return pair;
}

// A line that cannot be read is a row that cannot be read, unless all are.
std::vector<Pair> read_jsonl(const Path& file) {
  std::ifstream in(file);
  if (!in) throw NoInputError(str(file.string(), ": cannot be opened"));
  std::vector<Pair> pairs;
  int64_t number = 0;
  bool any_good = false;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = str(file.string(), ": line ", number);
    try {
      pairs.push_back(pair_of(line, file.parent_path(), where));
      any_good = true;
    } catch (const DataError& error) {
      pairs.push_back({{}, {}, {}, "", where, "", error.what()});
    }
  }
  if (!pairs.empty() && !any_good) throw DataError(pairs[0].bad);
  return pairs;
}

bool is_picture(const Path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".webp";
}

using ByName = std::map<std::string, Path>;

// Files of `folder` that `good` takes, by their stem less `ending`; those without the ending are
// passed over.
template <class Good>
ByName files_by_name(const Path& folder, const std::string& ending, Good good) {
  ByName files;
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    if (!entry.is_regular_file() || !good(entry.path()) || !stem.ends_with(ending)) continue;
    const std::string name = stem.substr(0, stem.size() - ending.size());
    if (!files.emplace(name, entry.path()).second)
      throw DataError(str(folder.string(), ": there are two pictures named ", stem));
  }
  return files;
}

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return std::isspace(uint8_t(c)); };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

std::vector<Pair> match(const Path& folder, const ByName& sources, const ByName& targets,
                        const ByName& texts) {
  for (const auto& [name, file] : targets)
    if (!sources.count(name))
      throw DataError(str(file.string(), ": there is no source of that name"));
  std::vector<Pair> pairs;
  for (const auto& [name, file] : sources) {
    if (!targets.count(name))
      throw DataError(str(file.string(), ": there is no target of that name"));
    if (!texts.count(name))
      throw DataError(str(file.string(), ": there is no instruction, a text file of that name"));
    pairs.push_back({file,
                     targets.at(name),
                     {trimmed(read_text(texts.at(name), 1 << 20))},
                     "",
                     str(folder.string(), ": ", name),
                     name});
  }
  return pairs;
}

std::vector<Pair> read_names(const Path& folder) {
  const auto is_text = [](const Path& file) { return file.extension() == ".txt"; };
  const ByName sources = files_by_name(folder / "source", "", is_picture);
  if (!sources.empty())
    return match(folder, sources, files_by_name(folder / "target", "", is_picture),
                 files_by_name(folder / "instruction", "", is_text));
  return match(folder, files_by_name(folder, "_source", is_picture),
               files_by_name(folder, "_target", is_picture), files_by_name(folder, "", is_text));
}

}  // namespace

std::unique_ptr<EditRows> folder_rows(const std::string& place, const std::string& config_folder) {
  std::error_code ignored;
  if (!fs::exists(place, ignored)) throw_not_there(place, config_folder);
  if (fs::is_regular_file(place, ignored)) return std::make_unique<FolderRows>(read_jsonl(place));
  if (!fs::is_directory(place, ignored))
    throw UsageError(str("train.dataset.path: '", place,
                         "' is no folder and no JSONL file, which the type 'folder' reads"));
  const ByName lists =
      files_by_name(place, "", [](const Path& f) { return f.extension() == ".jsonl"; });
  if (lists.size() > 1)
    throw UsageError(str("train.dataset.path: ", place, " holds ", lists.size(),
                         " JSONL files, name the one that is meant"));
  std::vector<Pair> pairs = lists.empty() ? read_names(place) : read_jsonl(lists.begin()->second);
  if (pairs.empty())
    throw DataError(str(place,
                        ": no pair of pictures; expected a JSONL file, or source/NAME.png, "
                        "target/NAME.png and instruction/NAME.txt, or NAME_source.png, "
                        "NAME_target.png and NAME.txt"));
  return std::make_unique<FolderRows>(std::move(pairs));
}

}  // namespace icedit
