#include "data/locate.h"

#include <algorithm>
#include <cctype>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "base/shell.h"
#include "data/listing.h"
#include "io/hub.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// What the datasets library takes for the name of a split (its data_files.py), and as it does: a
// word of the file's or a folder's name, with or without digits behind it.
constexpr const char* kSplits[] = {"train", "training", "validation", "valid", "dev",
                                   "val",   "test",     "testing",    "eval",  "evaluation"};

std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (std::isalnum(uint8_t(c)))
      words.back() += char(std::tolower(uint8_t(c)));
    else
      words.emplace_back();
  }
  return words;
}

// `below`: the folder from which names count.
bool is_of_split(const Path& file, const Path& below, const std::string& split) {
  const auto words = words_of(file.lexically_relative(below).replace_extension().string());
  return std::any_of(words.begin(), words.end(), [&split](const std::string& word) {
    const std::string letters = word.substr(0, word.find_last_not_of("0123456789") + 1);
    return word == split || letters == split || (split == "train" && letters == "training");
  });
}

bool is_of_a_split(const Path& file, const Path& below) {
  return std::any_of(std::begin(kSplits), std::end(kSplits),
                     [&](const char* split) { return is_of_split(file, below, split); });
}

// What one place stands for.
struct Found {
  std::vector<Path> files;
  Path folder = {};  // that is meant whole, with all splits; "" for files and globs
};

// Splits are joined by '+', as the datasets library has it.
std::vector<Path> of_splits(const Found& all, const std::string& splits, bool must) {
  std::vector<Path> found;
  size_t at = 0;
  while (at <= splits.size()) {
    const size_t end = std::min(splits.find('+', at), splits.size());
    const std::string split = splits.substr(at, end - at);
    const size_t before = found.size();
    for (const Path& file : all.files) {
      // The name of the folder itself counts where the split is asked for.
      const Path& place = all.folder.empty() ? file.parent_path() : all.folder;
      if (is_of_split(file, must ? place.parent_path() : place, split) ||
          (must && file.parent_path().filename() == split))
        found.push_back(file);
    }
    if (must && found.size() == before)
      throw UsageError(str("train.dataset.split asks for '", split, "', but none of the ",
                           all.files.size(), " Parquet files has it in its name (",
                           all.files.front().string(), ", ...)"));
    at = end + 1;
  }
  return found;
}

std::string some_names(const std::vector<Path>& files, const Path& below) {
  std::string text;
  constexpr size_t kShown = 3;
  for (size_t i = 0; i < std::min(kShown, files.size()); ++i)
    text += str(i == 0 ? "" : ", ", files[i].lexically_relative(below).string());
  return files.size() > kShown ? str(text, " and ", files.size() - kShown, " more") : text;
}

// Of a folder that is meant whole: what is plainly of another split is left out.
std::vector<Path> usual_files(const Found& all, const std::string& usual_split,
                              const std::string& key) {
  std::vector<Path> chosen = of_splits(all, usual_split, /*must=*/false);
  if (chosen.empty())
    std::copy_if(all.files.begin(), all.files.end(), std::back_inserter(chosen),
                 [&](const Path& file) { return !is_of_a_split(file, all.folder); });
  const std::string place = str(key, ": ", all.folder.string(), ": ");
  if (chosen.empty()) {
    log::warn(str(place, "all files are of other splits than ", usual_split,
                  "; they are taken: ", some_names(all.files, all.folder)));
    return all.files;
  }
  std::vector<Path> rest;
  for (const Path& file : all.files)
    if (std::find(chosen.begin(), chosen.end(), file) == chosen.end()) rest.push_back(file);
  log::info(str(place, counted(chosen.size(), "file"), " taken (", some_names(chosen, all.folder),
                ")", rest.empty() ? "" : "; left out: ", some_names(rest, all.folder)));
  return chosen;
}

// Rather than an id: ids have one slash, and may have dots ("OmniEdit-Filtered-1.2M").
bool is_file_name(const std::string& place) {
  const std::string extension = extension_of(place);
  return std::count(place.begin(), place.end(), '/') > 1 || extension == ".parquet" ||
         extension == ".jsonl" || extension == ".json";
}

// " in the working folder W", and where else it is.
std::string seen_from(const std::string& place, const std::string& config_folder) {
  std::error_code ignored;
  if (Path(place).is_absolute() || place.starts_with('~')) return "; check the path";
  const Path here = fs::current_path(ignored);
  const std::string text = str(" in the working folder ", here.string());
  Path folder = config_folder.empty() ? Path() : fs::weakly_canonical(config_folder, ignored);
  for (; !folder.empty(); folder = folder.parent_path()) {
    if (fs::exists(folder / place, ignored) || !glob_files((folder / place).string()).empty())
      return str(text, "; it is in ", folder.string(), ", run it from there: cd ",
                 shell_quoted(folder.string()));
    if (!folder.has_relative_path()) break;
  }
  return text + ", which relative paths start from";
}

Found whole_folder(Path folder, const std::string& key) {
  folder = (folder / "").parent_path();  // without a slash at its end
  Found found = {parquet_below(folder), folder};
  if (found.files.empty())
    throw NoInputError(str(key, ": there is no .parquet file in the folder ", folder.string()));
  return found;
}

Found find_place(const std::string& place, const std::string& config_folder,
                 const std::string& key) {
  std::error_code ignored;
  if (fs::is_directory(place, ignored)) return whole_folder(place, key);
  if (fs::exists(place, ignored)) return {{place}};
  const std::vector<Path> matches = glob_files(place);
  if (matches.size() == 1 && place.starts_with('~') && fs::is_directory(matches[0], ignored))
    return whole_folder(matches[0], key);
  Found found;
  for (const Path& match : matches) {
    // Spark writes a folder of that name.
    const bool is_folder = fs::is_directory(match, ignored);
    const std::vector<Path> files = is_folder ? parquet_below(match) : std::vector<Path>{match};
    found.files.insert(found.files.end(), files.begin(), files.end());
  }
  if (!found.files.empty()) return found;
  if (place.find_first_of("*?[{") != place.npos)
    throw UsageError(str(key, ": '", place, "' matches no file", seen_from(place, config_folder),
                         "; `icedit data fetch` says how to get MagicBrush and OmniEdit"));
  if (looks_like_hub_id(place) && !is_file_name(place)) {
    const Path folder = dataset_in_hub_cache(place);
    if (fs::is_directory(folder, ignored)) found = {parquet_below(folder), folder};
    if (!found.files.empty()) return found;
    throw UsageError(str(key, ": '", place,
                         "' is neither a file, a folder nor a data set in the Hugging Face cache ",
                         hub_cache().string(), "; get it with `hf download --repo-type dataset ",
                         place, "`, or see `icedit data fetch`"));
  }
  throw_not_there(place, config_folder, key);
}

}  // namespace

void throw_not_there(const std::string& place, const std::string& config_folder,
                     const std::string& key) {
  throw NoInputError(
      str(key, ": there is no file or folder '", place, "'", seen_from(place, config_folder)));
}

// datasets--ORG--NAME/{refs/main,snapshots/COMMIT} below the cache.
Path dataset_in_hub_cache(const std::string& id) {
  const size_t slash = id.find('/');
  const Path base =
      hub_cache() / str("datasets--", id.substr(0, slash), "--", id.substr(slash + 1));
  std::error_code ignored;
  if (!fs::is_regular_file(base / "refs/main", ignored)) return {};
  std::string commit = read_file(base / "refs/main", 1000);
  commit.erase(
      std::find_if(commit.begin(), commit.end(), [](char c) { return !std::isalnum(uint8_t(c)); }),
      commit.end());
  return base / "snapshots" / commit;
}

std::vector<Path> find_parquet(const std::vector<std::string>& places, const std::string& split,
                               const std::string& usual_split, const std::string& config_folder,
                               const std::string& key) {
  std::vector<Path> files;
  for (const std::string& place : places) {
    const Found found = find_place(place, config_folder, key);
    std::vector<Path> chosen = found.files;
    if (!split.empty())
      chosen = of_splits(found, split, /*must=*/true);
    else if (!found.folder.empty() && !usual_split.empty())
      chosen = usual_files(found, usual_split, key);
    files.insert(files.end(), chosen.begin(), chosen.end());
  }
  if (files.empty()) throw UsageError(key + " is empty: name a Parquet file, a glob or a folder");
  return files;
}

}  // namespace icedit
