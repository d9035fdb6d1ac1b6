#include "data/locate.h"

#include <glob.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/shell.h"
#include "io/hub.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (std::isalnum(uint8_t(c)))
      words.back() += c;
    else
      words.emplace_back();
  }
  return words;
}

bool is_of_split(const Path& file, const std::string& split) {
  const auto words = words_of(file.stem().string());
  return std::find(words.begin(), words.end(), split) != words.end() ||
         file.parent_path().filename() == split;
}

// Splits are joined by '+', as the datasets library has it.
std::vector<Path> of_splits(const std::vector<Path>& files, const std::string& splits, bool must) {
  std::vector<Path> found;
  size_t at = 0;
  while (at <= splits.size()) {
    const size_t end = std::min(splits.find('+', at), splits.size());
    const std::string split = splits.substr(at, end - at);
    const size_t before = found.size();
    std::copy_if(files.begin(), files.end(), std::back_inserter(found),
                 [&split](const Path& file) { return is_of_split(file, split); });
    if (must && found.size() == before)
      throw UsageError(str("train.dataset.split asks for '", split, "', but none of the ",
                           files.size(), " Parquet files has it in its name (",
                           files.front().string(), ", ...)"));
    at = end + 1;
  }
  return found;
}

struct Found {
  std::vector<Path> files;
  bool whole = false;  // a folder or an id, which holds all the splits
};

// Rather than an id: ids have one slash, and may have dots ("OmniEdit-Filtered-1.2M").
bool is_file_name(const std::string& place) {
  const std::string extension = Path(place).extension().string();
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

Found find_place(const std::string& place, const std::string& config_folder,
                 const std::string& key) {
  std::error_code ignored;
  if (fs::is_directory(place, ignored)) {
    Found found = {parquet_below(place), true};
    if (found.files.empty())
      throw UsageError(str(key, ": there is no .parquet file in the folder ", place));
    return found;
  }
  if (fs::exists(place, ignored)) return {{place}, false};
  Found found = {glob_files(place), false};
  if (!found.files.empty()) return found;
  if (place.find_first_of("*?[{") != place.npos)
    throw UsageError(str(key, ": '", place, "' matches no file", seen_from(place, config_folder),
                         "; `icedit data fetch` says how to get MagicBrush and OmniEdit"));
  if (looks_like_hub_id(place) && !is_file_name(place)) {
    const Path folder = dataset_in_hub_cache(place);
    if (fs::is_directory(folder, ignored)) found = {parquet_below(folder), true};
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

std::vector<Path> parquet_below(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".parquet")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// datasets--ORG--NAME/{refs/main,snapshots/COMMIT} below the cache.
Path dataset_in_hub_cache(const std::string& id) {
  const size_t slash = id.find('/');
  const Path base =
      hub_cache() / str("datasets--", id.substr(0, slash), "--", id.substr(slash + 1));
  std::error_code ignored;
  if (!fs::is_regular_file(base / "refs/main", ignored)) return {};
  std::string commit = read_text(base / "refs/main", 1000);
  commit.erase(
      std::find_if(commit.begin(), commit.end(), [](char c) { return !std::isalnum(uint8_t(c)); }),
      commit.end());
  return base / "snapshots" / commit;
}

std::vector<Path> glob_files(const std::string& pattern) {
  glob_t result = {};
  std::vector<Path> files;
  if (glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &result) == 0)
    files.assign(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  globfree(&result);
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Path> find_parquet(const std::vector<std::string>& places, const std::string& split,
                               const std::string& usual_split, const std::string& config_folder,
                               const std::string& key) {
  std::vector<Path> files;
  for (const std::string& place : places) {
    const Found found = find_place(place, config_folder, key);
    std::vector<Path> chosen = found.files;
    if (!split.empty())
      chosen = of_splits(found.files, split, /*must=*/true);
    else if (found.whole)
      chosen = of_splits(found.files, usual_split, /*must=*/false);
    if (chosen.empty()) chosen = found.files;
    files.insert(files.end(), chosen.begin(), chosen.end());
  }
  if (files.empty()) throw UsageError(key + " is empty: name a Parquet file, a glob or a folder");
  return files;
}

}  // namespace icedit
