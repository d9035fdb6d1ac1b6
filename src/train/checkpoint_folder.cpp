#include "train/checkpoint_folder.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "io/files.h"
#include "io/folder_link.h"
#include "io/json_file.h"
#include "io/whole_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kManifestSum = "manifest.json.sha256";
constexpr const char* kLatest = "latest";
constexpr size_t kLargestManifest = size_t{1} << 20;

// The files' names from `folder` on, sorted.
std::vector<Path> files_below(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

// As `sha256sum` writes and checks it.
std::string sum_line(const std::string& manifest) {
  return sha256(manifest) + "  " + kManifest + "\n";
}

void write_manifest(const Path& folder) {
  Json files = Json::object();
  for (const Path& file : files_below(folder)) {
    files[file.string()] = {{"bytes", fs::file_size(folder / file)},
                            {"sha256", sha256_file(folder / file)}};
  }
  const std::string text = dumped({{"files", files}, {"format", 1}}, 2) + "\n";
  write_text_atomically(folder / kManifest, text);
  write_text_atomically(folder / kManifestSum, sum_line(text));
}

std::string damage_of_file(const Path& file, const JsonFile& expected) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  const int64_t bytes = expected.integer("bytes");
  if (error) return str(file.string(), " is missing");
  if (int64_t(size) != bytes) return str(file.string(), " has ", size, " bytes, expected ", bytes);
  const std::string sum = sha256_file(file), wanted = expected.text("sha256");
  return sum == wanted ? "" : str(file.string(), " has SHA-256 ", sum, ", expected ", wanted);
}

std::string damage_within(const Path& folder) {
  const Path manifest = folder / kManifest;
  const std::string text = read_file(manifest, kLargestManifest);
  if (read_file(folder / kManifestSum, kLargestManifest) != sum_line(text))
    return str(manifest.string(), " is not what ", kManifestSum, " says it is");
  const JsonFile files = JsonFile::parse(text, manifest.string()).object("files");
  for (const std::string& name : files.keys()) {
    const std::string damage = damage_of_file(folder / name, files.object(name));
    if (!damage.empty()) return damage;
  }
  return "";
}

std::vector<Path> steps_in(const Path& run_folder) {
  std::vector<Path> steps;
  std::error_code error;
  for (fs::directory_iterator it(run_folder, error), end; !error && it != end;
       it.increment(error)) {
    if (step_number(it->path()) >= 0) steps.push_back(it->path());
  }
  std::sort(steps.begin(), steps.end(),
            [](const Path& a, const Path& b) { return step_number(a) > step_number(b); });
  return steps;
}

Path without_slash(const Path& place) {
  return place.filename().empty() ? place.parent_path() : place;
}

}  // namespace

Path write_step_folder(const Path& run_folder, int64_t step, uint64_t bytes_needed,
                       const std::function<void(const Path&)>& write) {
  const Path folder = run_folder / str("step-", step);
  WholeFolder fresh(folder);
  expect_free_space(run_folder, bytes_needed,
                    "nothing was written. Make room, or keep fewer checkpoints");
  write(fresh.path());
  write_manifest(fresh.path());
  fresh.finish(Existing::kReplace);
  link_folder(run_folder / kLatest, folder.filename());
  return folder;
}

bool WholeSteps::has(const Path& step_folder) {
  const auto [at, fresh] = whole_.try_emplace(step_folder, false);
  if (fresh) at->second = damage_of(step_folder).empty();
  return at->second;
}

void remove_old_steps(const Path& run_folder, int64_t step, int keep, WholeSteps& whole) {
  if (keep <= 0) return;
  std::vector<Path> steps = steps_in(run_folder);
  std::erase_if(steps, [step](const Path& folder) { return step_number(folder) > step; });
  if (steps.size() <= size_t(keep)) return;
  int kept = 0;
  for (const Path& folder : steps) {
    if (kept < keep) {
      kept += whole.has(folder);
      continue;
    }
    if (const std::error_code error = remove_whole(folder))
      log::warn(str(folder.string(), " is not needed and cannot be removed: ", error.message()));
  }
}

int64_t step_number(const Path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with("step-")) return -1;
  int64_t number = -1;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + 5, end, number);
  return error == std::errc() && at == end ? number : -1;
}

Path run_folder_of(const Path& place) {
  const Path given = without_slash(place);
  if (given.filename() != kLatest && step_number(given) < 0) return given;
  return given.has_parent_path() ? given.parent_path() : Path(".");
}

std::vector<Path> step_folders(const Path& place) {
  const Path given = without_slash(place), run = run_folder_of(place);
  const bool one = step_number(given) >= 0;
  const int64_t first = step_number(one ? given : Path(linked_folder(run / kLatest)));
  std::vector<Path> before, after;
  for (const Path& step : steps_in(run)) {
    (first < 0 || step_number(step) <= first ? before : after).push_back(step);
  }
  if (!one) before.insert(before.end(), after.begin(), after.end());
  return before;
}

std::string damage_of(const Path& step_folder) {
  try {
    return damage_within(step_folder);
  } catch (const Error& error) {
    return error.what();
  } catch (const fs::filesystem_error& error) {
    return error.what();
  }
}

}  // namespace icedit
