#include "data/shards.h"

#include <numeric>
#include <optional>
#include <regex>

#include "base/interrupt.h"
#include "data/parquet_file.h"

namespace icedit {
namespace {

struct ShardName {
  std::string split;
  int64_t number = 0, of = 0;
};

// "train-00003-of-00051-22f1ba147418678e.parquet", the last part not always.
std::optional<ShardName> shard_name(const std::string& file) {
  static const std::regex pattern(R"((.+)-(\d{5})-of-(\d{5})(-[0-9a-f]+)?\.parquet)");
  std::smatch match;
  if (!std::regex_match(file, match, pattern)) return std::nullopt;
  const ShardName name = {match[1], std::stoll(match[2]), std::stoll(match[3])};
  if (name.number >= name.of) return std::nullopt;
  return name;
}

Shards& shards_of(FoundFiles& found, const ShardName& name) {
  for (Shards& shards : found.shards)
    if (shards.split == name.split && shards.of == name.of) return shards;
  found.shards.push_back({name.split, name.of, {}});
  return found.shards.back();
}

}  // namespace

std::vector<int64_t> Shards::missing() const {
  std::vector<int64_t> numbers;
  for (int64_t number = 0; number < of; ++number)
    if (there.count(number) == 0) numbers.push_back(number);
  return numbers;
}

FoundFiles look_at(const std::vector<Path>& files) {
  FoundFiles found;
  for (const Path& file : files) {
    throw_if_interrupted();
    std::string reason;
    const auto rows = if_readable(
        [&] {
          const std::vector<int64_t> groups = ParquetFile(file).group_rows();
          return std::accumulate(groups.begin(), groups.end(), int64_t{0});
        },
        &reason);
    if (!rows) {
      found.damaged.push_back({file.string(), reason});
      continue;
    }
    found.rows += *rows;
    std::error_code ignored;
    found.bytes += std::filesystem::file_size(file, ignored);
    if (const auto name = shard_name(file.filename().string()))
      shards_of(found, *name).there.emplace(name->number, file);
    else
      found.others.push_back(file);
  }
  return found;
}

std::string ranges_text(const std::vector<int64_t>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += str(text.empty() ? "" : ", ", numbers[i]);
    if (end - i > 1) text += str("-", numbers[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace icedit
