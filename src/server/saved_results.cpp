#include "server/saved_results.h"

#include <charconv>
#include <optional>

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

}  // namespace

SavedResults::SavedResults(const std::string& folder, uint64_t most_bytes)
    : folder_(folder), most_bytes_(most_bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(str(folder, ": ", error.message(), "; give another --save-dir"));
  for (std::filesystem::directory_iterator it(folder_, error), end; !error && it != end;
       it.increment(error)) {
    if (const auto number = number_of(it->path())) keep(*number, it->path());
  }
}

void SavedResults::keep(uint64_t number, const Path& file) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(file, error);
  if (error || !saved_.emplace(number, Saved{file, bytes}).second) return;
  bytes_ += bytes;
}

void SavedResults::make_room(uint64_t bytes) {
  while (!saved_.empty() && bytes_ + bytes > most_bytes_) {
    const Saved oldest = saved_.begin()->second;
    std::error_code ignored;
    std::filesystem::remove(oldest.file, ignored);
    bytes_ -= oldest.bytes;
    saved_.erase(saved_.begin());
  }
}

void SavedResults::add(const std::vector<std::shared_ptr<const JobResult>>& results) {
  for (const auto& result : results) {
    try {
      make_room(result->bytes.size());
      const uint64_t number = saved_.empty() ? 1 : saved_.rbegin()->first + 1;
      const Path file = folder_ / str(kPrefix, number, ".", format_text(result->format));
      keep(number, write_text_atomically(file, result->bytes, IfTaken::kNextName));
    } catch (const Error& error) {
      log::warn(str("a result was not kept: ", error.what()));
    }
  }
}

}  // namespace icedit::server
