#include "edit/prompt_cache.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/home.h"
#include "base/log.h"
#include "base/process.h"
#include "base/version.h"
#include "io/json.h"
#include "nn/checked_tensors.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".safetensors";
constexpr const char* kEmbeds = "prompt_embeds";
constexpr const char* kPooled = "pooled_prompt_embeds";

// Which file it is and when it was written; any change of it changes one of these.
std::string identity(const Path& file) {
  struct stat s = {};
  if (stat(file.c_str(), &s) != 0) return str(file.string(), " is not there\n");
  const auto ns = [](const timespec& t) { return str(t.tv_sec, ".", t.tv_nsec); };
  return str(fs::absolute(file).lexically_normal().string(), " ", s.st_dev, " ", s.st_ino, " ",
             s.st_size, " ", ns(s.st_mtim), " ", ns(s.st_ctim), "\n");
}

std::string identity_of_folder(const Path& folder) {
  std::vector<Path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path());
  std::sort(files.begin(), files.end());
  std::string all;
  for (const Path& file : files) all += identity(file);
  return all;
}

}  // namespace

Path default_prompt_cache() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const std::string folder = xdg != nullptr && *xdg != '\0' ? xdg : "~/.cache";
  return Path(expand_home(folder)) / "icedit" / "prompts";
}

PromptCache::PromptCache(const Residency& residency)
    : options_(residency.prompt_cache()), device_(residency.device()) {
  if (options_.folder.empty()) return;
  const ModelFiles& files = residency.files();
  const at::ScalarType compute = residency.precision().compute;
  uint64_t bytes = 0;
  // The last bits of a sum hang on the kernels, which hang on the CPU, and on the threads.
  common_ =
      str(version(), " ", cpu_kind(), " ", at::get_cpu_capability(), " ", at::get_num_threads(),
          " threads ", device_.str(), " ", at::toString(compute), "\n");
  for (const char* name : {"MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name)) common_ += str(name, " ", value, "\n");
  for (const Part part : {Part::kClip, Part::kT5}) {
    const Component component = files.open(part);
    bytes += component.checkpoint.total_bytes();
    common_ += str(part_name(part),
                   keep_as_stored(component.checkpoint, compute, device_) ? " stored" : "", " ",
                   sha256(dumped(component.config.json())), "\n");
    for (const Path& file : component.checkpoint.files()) common_ += identity(file);
  }
  common_ += identity_of_folder(files.tokenizer()) + identity_of_folder(files.tokenizer_2());
  if (bytes < options_.least_bytes) common_.clear();
}

Path PromptCache::entry(const Prompt& prompt) const {
  const std::string key = str(common_, prompt.max_sequence_length, "\n", prompt.text);
  return options_.folder / (sha256(key) + kEnding);
}

std::optional<PromptEmbeds> PromptCache::find(const Prompt& prompt) const {
  if (common_.empty()) return {};
  const Path file = entry(prompt);
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  try {
    const auto tensors = load_checked(file);
    const std::map<std::string, Tensor> by_name(tensors.begin(), tensors.end());
    const PromptEmbeds embeds{by_name.at(kEmbeds).to(device_), by_name.at(kPooled).to(device_)};
    fs::last_write_time(file, fs::file_time_type::clock::now(), error);  // when it was last used
    return embeds;
  } catch (const Error& damaged) {
    log::verbose(str("a cached prompt is made again: ", damaged.what()));
  } catch (const std::out_of_range&) {
    log::verbose(str("a cached prompt is made again: ", file.string(), " lacks a part"));
  }
  return {};
}

void PromptCache::keep(const Prompt& prompt, const PromptEmbeds& embeds) const {
  if (common_.empty()) return;
  try {
    save_checked(entry(prompt), {{kEmbeds, embeds.prompt_embeds.cpu()},
                                 {kPooled, embeds.pooled_prompt_embeds.cpu()}});
    make_room();
  } catch (const Error& error) {
    log::warn(str(error.what(), " The edit goes on; what the text encoders made is not kept."));
  }
}

// Another process may do the same at this moment: what it has removed is no error.
void PromptCache::make_room() const {
  struct File {
    fs::file_time_type used;
    uint64_t bytes;
    Path path;
  };
  std::vector<File> files;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(options_.folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    const File file{fs::last_write_time(it->path(), gone), it->file_size(gone), it->path()};
    if (gone || file.path.extension() != kEnding) continue;
    files.push_back(file);
    total += file.bytes;
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total <= options_.limit) break;
    std::error_code gone;
    fs::remove(file.path, gone);
    total -= file.bytes;
  }
}

}  // namespace icedit
