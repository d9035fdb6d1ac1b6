#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/listing.h"
#include "data/locate.h"
#include "data/rows.h"
#include "io/files.h"
#include "io/picture_kind.h"
#include "io/utf8.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

struct Pair : RowText {
  Path source, target;
  std::string name;
  std::string bad;  // why its line cannot be read; the rest is then empty, but for `where`
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
    auto files = std::make_shared<Files>(Files{read_file(pair.source), read_file(pair.target)});
    return {pair,      as_bytes(files->source),         as_bytes(files->target),        files,
            pair.name, pair.source.filename().string(), pair.target.filename().string()};
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

std::string text_of(const Json& line, const char* key, const std::string& where) {
  const auto found = line.find(key);
  if (found != line.end() && found->is_string()) return found->get<std::string>();
  throw DataError(
      str(where, ": expected an object with \"source\", \"target\" and \"instruction\", but \"",
          key, "\" is ", found == line.end() ? "missing" : "no text"));
}

Pair pair_of(const std::string& text, const Path& folder, const std::string& where) {
  const Json line = Json::parse(utf8_text(text, where), nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) throw DataError(str(where, ": this is no JSON object"));
  Pair pair;
  const Path source = text_of(line, "source", where);
  pair.name = (source.parent_path() / source.stem()).string();
  pair.source = in_either_form(folder / source);
  pair.target = in_either_form(folder / text_of(line, "target", where));
  const auto instructions = line.find("instruction");
  if (instructions != line.end() && instructions->is_array()) {
    for (const Json& instruction : *instructions) {
      if (!instruction.is_string())
        throw DataError(str(where, ": \"instruction\" is not all text"));
      pair.instructions.push_back(instruction.get<std::string>());
    }
    if (pair.instructions.empty())
      throw DataError(str(where, ": \"instruction\" is an empty list"));
  } else {
    pair.instructions = {text_of(line, "instruction", where)};
  }
  for (std::string& text : pair.instructions) text = utf8_text(text, where + ": the instruction");
  if (line.contains("task") && line["task"].is_string()) pair.task = line["task"];
  pair.where = where;
  return pair;
}

// A line that cannot be read is a row that cannot be read.
std::vector<Pair> read_jsonl(const Path& file) {
  std::ifstream in(file);
  if (!in) throw NoInputError(str(file.string(), ": cannot be opened"));
  std::vector<Pair> pairs;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = str(file.string(), ": line ", number);
    auto pair = if_readable([&] { return pair_of(line, file.parent_path(), where); });
    pairs.push_back(pair ? std::move(*pair) : Pair{{{}, "", where}, {}, {}, "", pair.why_not});
  }
  return pairs;
}

bool has_picture_name(const Path& file) {
  const std::string e = extension_of(file);
  return e == ".png" || e == ".jpg" || e == ".jpeg" || e == ".webp";
}

std::string head_of(const Path& file) {
  std::string head(64, '\0');
  std::ifstream(file, std::ios::binary).read(head.data(), std::streamsize(head.size()));
  return head;
}

// By its content: JPEGs under other names, and formats that we do not read, which is then said.
bool is_other_picture(const Path& file) {
  return !has_picture_name(file) && extension_of(file) != ".txt" &&
         is_picture_of_any_kind(as_bytes(head_of(file)));
}

using ByName = std::map<std::string, Path>;

// Files of `folder` that `good` takes, by their stem less `ending`; those without the ending are
// passed over. `what` they are: for the error.
template <class Good>
ByName files_by_name(const Path& folder, const std::string& ending, const char* what, Good good) {
  ByName files;
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = composed_name(entry.path().stem());
    if (!stem.ends_with(ending) || is_hidden(entry.path())) continue;
    if (!entry.is_regular_file() || !good(entry.path())) continue;
    const std::string name = stem.substr(0, stem.size() - ending.size());
    if (!files.emplace(name, entry.path()).second)
      throw DataError(str(folder.string(), ": there are two ", what, " named ", stem));
  }
  return files;
}

ByName pictures_by_name(const Path& folder, const std::string& ending = "") {
  ByName pictures = files_by_name(folder, ending, "pictures", has_picture_name);
  pictures.merge(files_by_name(folder, ending, "pictures", is_other_picture));
  return pictures;
}

ByName texts_by_name(const Path& folder) {
  return files_by_name(folder, "", "texts",
                       [](const Path& file) { return extension_of(file) == ".txt"; });
}

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return std::isspace(uint8_t(c)); };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

std::string caption(const Path& file) {
  return trimmed(utf8_text(read_file(file, 1 << 20), file.string()));
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
    const auto text = if_readable([&] { return caption(texts.at(name)); });
    pairs.push_back({{{text.value_or("")}, "", str(folder.string(), ": ", name)},
                     file,
                     targets.at(name),
                     name,
                     text.why_not});
    Pair& pair = pairs.back();
    for (const Path& picture : {pair.source, pair.target})
      if (pair.bad.empty() && !has_picture_name(picture))
        pair.bad = if_readable([&] {
                     return picture_kind(as_bytes(head_of(picture)), picture.string());
                   }).why_not;
  }
  return pairs;
}

std::vector<Pair> read_names(const Path& folder) {
  const ByName sources = pictures_by_name(folder / "source");
  if (!sources.empty())
    return match(folder, sources, pictures_by_name(folder / "target"),
                 texts_by_name(folder / "instruction"));
  return match(folder, pictures_by_name(folder, "_source"), pictures_by_name(folder, "_target"),
               texts_by_name(folder));
}

// The JSONL file that is meant; empty where there is none.
Path list_in(const std::string& place, const std::string& key) {
  const ByName lists = files_by_name(
      place, "", "lists", [](const Path& file) { return extension_of(file) == ".jsonl"; });
  if (lists.size() > 1)
    throw UsageError(
        str(key, ": ", place, " holds ", lists.size(), " JSONL files, name the one that is meant"));
  return lists.empty() ? Path() : lists.begin()->second;
}

}  // namespace

std::unique_ptr<EditRows> folder_rows(const std::string& place, const std::string& config_folder,
                                      const std::string& key) {
  std::error_code ignored;
  if (!fs::exists(place, ignored)) throw_not_there(place, config_folder, key);
  const bool is_list = fs::is_regular_file(place, ignored);
  if (!is_list && !fs::is_directory(place, ignored))
    throw UsageError(
        str(key, ": '", place, "' is no folder and no JSONL file, which the type 'folder' reads"));
  const Path list = is_list ? Path(place) : list_in(place, key);
  std::vector<Pair> pairs = list.empty() ? read_names(place) : read_jsonl(list);
  if (pairs.empty())
    throw DataError(str(place,
                        ": no pair of pictures; expected a JSONL file, or source/NAME.png, "
                        "target/NAME.png and instruction/NAME.txt, or NAME_source.png, "
                        "NAME_target.png and NAME.txt"));
  if (std::none_of(pairs.begin(), pairs.end(), [](const Pair& p) { return p.bad.empty(); }))
    throw DataError(pairs[0].bad);
  return std::make_unique<FolderRows>(std::move(pairs));
}

}  // namespace icedit
