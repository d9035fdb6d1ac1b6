#include "server/saved_results.h"

#include <charconv>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "server/job_json.h"

namespace icedit::server {
namespace {

constexpr std::string_view kPrefix = "result_";

// The N of "result_N.png"; nothing for other names.
std::optional<uint64_t> number_of(const Path& file) {
  const std::string name = file.stem().string();
  uint64_t number = 0;
  const char* end = name.data() + name.size();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::map<uint64_t, Path> results_in(const Path& folder) {
  std::map<uint64_t, Path> results;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (const auto number = number_of(it->path())) results.emplace(*number, it->path());
  }
  return results;
}

}  // namespace

SavedResults::SavedResults(const std::string& folder, uint64_t most_bytes)
    : folder_(folder), most_bytes_(most_bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(str(folder, ": ", error.message(), "; give another --save-dir"));
  const auto results = results_in(folder_);
  if (!results.empty()) next_ = results.rbegin()->first + 1;
}

void SavedResults::make_room(uint64_t bytes) {
  const auto results = results_in(folder_);
  uint64_t all = bytes;
  std::error_code ignored;
  for (const auto& [number, file] : results) all += std::filesystem::file_size(file, ignored);
  for (const auto& [number, file] : results) {
    if (all <= most_bytes_) return;
    all -= std::filesystem::file_size(file, ignored);
    std::filesystem::remove(file, ignored);
  }
}

void SavedResults::add(const std::vector<std::shared_ptr<const JobResult>>& results) {
  for (const auto& result : results) {
    try {
      make_room(result->bytes.size());
      const Path file = folder_ / str(kPrefix, next_++, ".", format_name(result->format));
      write_text_atomically(file, result->bytes, IfTaken::kNextName);
    } catch (const Error& error) {
      log::warn(str("a result was not kept: ", error.what()));
    }
  }
}

}  // namespace icedit::server
