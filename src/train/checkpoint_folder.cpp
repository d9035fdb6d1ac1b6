#include "train/checkpoint_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kManifestSum = "manifest.json.sha256";
constexpr const char* kLatest = "latest";
constexpr size_t kLargestManifest = size_t{1} << 20;

[[noreturn]] void fail(const Path& path, const std::string& what, int error) {
  throw IoError(str(path.string(), ": ", what, " failed: ", std::strerror(error),
                    "; the checkpoints before this one are as they were"));
}

// Some file systems cannot sync a folder; its files are synced by then.
void sync_folder(const Path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

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
  json files = json::object();
  for (const Path& file : files_below(folder)) {
    files[file.string()] = {{"bytes", fs::file_size(folder / file)},
                            {"sha256", sha256_file(folder / file)}};
  }
  const std::string text = json{{"format", 1}, {"files", files}}.dump(2) + "\n";
  write_text_atomically(folder / kManifest, text);
  write_text_atomically(folder / kManifestSum, sum_line(text));
}

bool is_alive(pid_t process) {
  return ::kill(process, 0) == 0 || errno == EPERM;
}

// ".step-12.3456.new" -> 3456, the writer; 0 for other names.
pid_t writer_of(const std::string& name) {
  if (!name.starts_with(".step-") && !name.starts_with(".latest.")) return 0;
  if (!name.ends_with(".new")) return 0;
  const size_t end = name.size() - 4, dot = name.rfind('.', end - 1);
  if (dot == std::string::npos) return 0;
  pid_t process = 0;
  std::from_chars(name.data() + dot + 1, name.data() + end, process);
  return process;
}

void remove_left_overs(const Path& run_folder) {
  std::error_code error;
  std::vector<Path> dead;
  for (fs::directory_iterator it(run_folder, error), end; !error && it != end;
       it.increment(error)) {
    const pid_t writer = writer_of(it->path().filename().string());
    if (writer > 0 && (writer == ::getpid() || !is_alive(writer))) dead.push_back(it->path());
  }
  for (const Path& path : dead) fs::remove_all(path, error);
}

// Removed unless it was renamed.
class NewFolder {
 public:
  explicit NewFolder(Path path) : path_(std::move(path)) {
    std::error_code error;
    if (!fs::create_directory(path_, error)) fail(path_, "making the folder", error.value());
  }
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // What stood at `target` is then here, and is removed with it.
  void become(const Path& target) {
    std::error_code ignored;
    if (!fs::exists(target, ignored)) {
      if (::rename(path_.c_str(), target.c_str()) != 0) fail(target, "renaming", errno);
      return;
    }
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0)
      return;
    if (errno != EINVAL && errno != ENOSYS) fail(target, "renaming", errno);
    // A file system that cannot exchange. Between the two a reader finds the checkpoint before.
    const Path old =
        target.parent_path() / str(".", target.filename().string(), ".old.", ::getpid(), ".new");
    if (::rename(target.c_str(), old.c_str()) != 0) fail(target, "renaming", errno);
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      const int error = errno;
      ::rename(old.c_str(), target.c_str());
      fail(target, "renaming", error);
    }
    fs::remove_all(old, ignored);
  }

 private:
  Path path_;
};

void move_latest(const Path& run_folder, const std::string& name) {
  const Path link = run_folder / str(".latest.", ::getpid(), ".new");
  std::error_code error;
  fs::remove(link, error);
  fs::create_directory_symlink(name, link, error);
  if (error) fail(link, "making the link", error.value());
  if (::rename(link.c_str(), (run_folder / kLatest).c_str()) != 0) {
    const int reason = errno;
    fs::remove(link, error);
    fail(run_folder / kLatest, "moving the link", reason);
  }
  sync_folder(run_folder);
}

std::string damage_of_file(const Path& file, const json& expected) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  if (error) return str(file.string(), " is missing");
  if (!expected.is_object() || size != expected.value("bytes", uint64_t{0})) {
    return str(file.string(), " has ", size, " bytes, expected ",
               expected.is_object() ? expected.value("bytes", uint64_t{0}) : 0);
  }
  const std::string sum = sha256_file(file), wanted = expected.value("sha256", "");
  return sum == wanted ? "" : str(file.string(), " has SHA-256 ", sum, ", expected ", wanted);
}

std::string damage_within(const Path& folder) {
  const std::string text = read_text(folder / kManifest, kLargestManifest);
  if (read_text(folder / kManifestSum, kLargestManifest) != sum_line(text)) {
    return str((folder / kManifest).string(), " is not what ", kManifestSum, " says it is");
  }
  const json manifest = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !manifest.contains("files") || !manifest["files"].is_object()) {
    return str((folder / kManifest).string(), " lists no files");
  }
  for (const auto& [name, expected] : manifest["files"].items()) {
    if (const std::string damage = damage_of_file(folder / name, expected); !damage.empty())
      return damage;
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

void check_space(const Path& folder, uint64_t needed) {
  if (const uint64_t free = free_disk_bytes(folder); free < needed) {
    throw IoError(str(folder.string(), ": a checkpoint needs ", needed, " bytes (",
                      bytes_text(double(needed)), "), but ", free, " (", bytes_text(double(free)),
                      ") are free there; nothing was written. Make room, or keep fewer"));
  }
}

}  // namespace

Path write_step_folder(const Path& run_folder, int64_t step, uint64_t bytes_needed,
                       const std::function<void(const Path&)>& write) {
  std::error_code error;
  fs::create_directories(run_folder, error);
  if (error) fail(run_folder, "making the folder", error.value());
  remove_left_overs(run_folder);
  check_space(run_folder, bytes_needed);
  const std::string name = str("step-", step);
  const Path temporary = run_folder / str(".", name, ".", ::getpid(), ".new");
  {
    NewFolder folder(temporary);
    write(temporary);
    write_manifest(temporary);
    for (const auto& entry : fs::recursive_directory_iterator(temporary)) {
      if (entry.is_directory()) sync_folder(entry.path());
    }
    sync_folder(temporary);
    folder.become(run_folder / name);
    sync_folder(run_folder);
    move_latest(run_folder, name);
  }
  return run_folder / name;
}

bool WholeSteps::has(const Path& step_folder) {
  const auto [at, fresh] = whole_.try_emplace(step_folder, false);
  if (fresh) at->second = damage_of(step_folder).empty();
  return at->second;
}

void expect_writable(const Path& run_folder) {
  std::error_code ignored;
  Path there = fs::absolute(run_folder);
  while (!fs::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  const bool folder = fs::is_directory(there, ignored);
  if (folder && ::access(there.c_str(), W_OK | X_OK) == 0) return;
  throw IoError(str(run_folder.string(), ": a run cannot be kept there, as ", there.string(),
                    folder ? str(" cannot be written: ", std::strerror(errno)) : " is no folder",
                    "; give another --run-folder or train.save_path"));
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
    // Under another name first, so that a half removed one is not taken for a checkpoint.
    const Path away = run_folder / str(".", folder.filename().string(), ".", ::getpid(), ".new");
    std::error_code error;
    fs::rename(folder, away, error);
    if (!error) fs::remove_all(away, error);
    if (error)
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
  std::error_code error;
  const Path given = without_slash(place), run = run_folder_of(place);
  const bool one = step_number(given) >= 0;
  const Path link = fs::read_symlink(run / kLatest, error);
  const int64_t first = step_number(one ? given : link);
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
  } catch (const json::exception& error) {
    return str((step_folder / kManifest).string(), ": ", error.what());
  } catch (const fs::filesystem_error& error) {
    return error.what();
  }
}

}  // namespace icedit
