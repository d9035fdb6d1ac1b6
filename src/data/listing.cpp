#include "data/listing.h"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "io/utf8.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// `seen`: the folders that were entered, since a link may lead back.
void add_parquet(const Path& folder, std::set<Path>& seen, std::vector<Path>& files) {
  std::error_code error;
  if (!seen.insert(fs::canonical(folder, error)).second) return;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    if (is_hidden(entry->path())) continue;
    if (entry->is_directory(ignored))
      add_parquet(entry->path(), seen, files);
    else if (extension_of(entry->path()) == ".parquet")
      files.push_back(entry->path());
  }
  if (error) throw IoError(str(folder.string(), ": cannot be listed: ", error.message()));
}

std::vector<Path> matches(const std::string& pattern) {
  glob_t result = {};
  std::vector<Path> files;
  if (glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &result) == 0)
    files.assign(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  globfree(&result);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

bool is_hidden(const Path& name) {
  const std::string text = name.filename().string();
  return text.starts_with('.') || text.starts_with("__");
}

std::string extension_of(const Path& file) {
  std::string extension = file.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  return extension;
}

std::vector<Path> parquet_below(const Path& folder) {
  std::set<Path> seen;
  std::vector<Path> files;
  add_parquet(folder, seen, files);
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Path> glob_files(const std::string& pattern) {
  const std::vector<Path> files = matches(pattern);
  if (!files.empty() || pattern.find_first_of("[{") == pattern.npos) return files;
  std::string literal;
  for (const char c : pattern) {
    if (c == '[' || c == '{') literal += '\\';
    literal += c;
  }
  return matches(literal);
}

std::string composed_name(const Path& name) {
  const std::string text = name.filename().string();
  if (valid_utf8(text) != text) return text;
  std::string composed;
  for (const char32_t c : nfc(from_utf8(text))) append_utf8(c, composed);
  return composed;
}

Path in_either_form(const Path& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return path;
  const std::string name = composed_name(path);
  for (const auto& entry : fs::directory_iterator(path.parent_path(), ignored))
    if (composed_name(entry.path()) == name) return entry.path();
  return path;
}

}  // namespace icedit
