#include "data/published.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <numeric>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/nearest.h"
#include "base/shell.h"
#include "data/listing.h"
#include "data/locate.h"
#include "data/parquet_file.h"
#include "io/hub.h"

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

const PublishedSet kMagicBrush = {"MagicBrush", "osunlp/MagicBrush", true, 0, {}};
const PublishedSet kOmniEditMini = {"OmniEdit", "sayakpaul/OmniEdit-mini", false, 105, {}};
const PublishedSet kOmniEditPart = {"OmniEdit",
                                    "TIGER-Lab/OmniEdit-Filtered-1.2M",
                                    false,
                                    571,
                                    {0, 100, 115, 130, 145, 160, 175, 566, 567, 568, 569, 570}};

std::vector<Path> parquet_in(const Path& folder) {
  std::error_code ignored;
  if (folder.empty() || !std::filesystem::is_directory(folder, ignored)) return {};
  return parquet_below(folder);
}

// Folders may hold several sets: files that say another count are another's.
bool is_of(const PublishedSet& set, const Path& file) {
  if (set.of == 0) return true;
  char mark[32];
  std::snprintf(mark, sizeof mark, "-of-%05lld", static_cast<long long>(set.of));
  return file.filename().string().find(mark) != std::string::npos;
}

std::vector<int64_t> missing_of(const PublishedSet& set, const FoundFiles& found) {
  std::vector<int64_t> wanted = set.wanted;
  if (wanted.empty()) {
    wanted.resize(size_t(set.of));
    std::iota(wanted.begin(), wanted.end(), 0);
  }
  for (const Shards& shards : found.shards)
    if (shards.split == "train")
      std::erase_if(wanted, [&](int64_t number) { return shards.there.count(number) != 0; });
  return wanted;
}

std::string shard_file(int64_t number, int64_t of) {
  char name[64];
  std::snprintf(name, sizeof name, " data/train-%05lld-of-%05lld.parquet",
                static_cast<long long>(number), static_cast<long long>(of));
  return name;
}

std::vector<std::string> commands_for(const PublishedSet& set, const FoundFiles& found,
                                      const Path& folder) {
  std::vector<std::string> commands;
  for (const BadRow& file : found.damaged) commands.push_back("rm " + shell_quoted(file.where));
  std::string get = "hf download " + set.repository;
  if (set.in_cache) {
    const bool whole = !found.shards.empty() && found.damaged.empty() &&
                       std::all_of(found.shards.begin(), found.shards.end(),
                                   [](const Shards& s) { return s.missing().empty(); });
    if (!whole) commands.push_back(get + " --repo-type dataset");
    return commands;
  }
  const std::vector<int64_t> missing = missing_of(set, found);
  if (missing.empty()) return commands;
  const bool all = int64_t(missing.size()) == set.of;
  for (size_t i = 0; !all && i < missing.size(); ++i) get += shard_file(missing[i], set.of);
  get += " --repo-type dataset";
  if (all) get += " --include 'data/train-*.parquet'";
  commands.push_back(get + " --local-dir " + shell_quoted(folder.string()));
  commands.push_back(str("mv ", shell_quoted((folder / "data").string()), "/*.parquet ",
                         shell_quoted(folder.string())));
  return commands;
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
    const auto rows = if_readable([&] {
      const std::vector<int64_t> groups = ParquetFile(file).group_rows();
      return std::accumulate(groups.begin(), groups.end(), int64_t{0});
    });
    if (!rows) {
      found.damaged.push_back({file.string(), rows.why_not});
      continue;
    }
    found.rows += *rows;
    std::error_code ignored;
    found.bytes += std::filesystem::file_size(file, ignored);
    if (const auto name = shard_name(file.filename().string()))
      shards_of(found, *name).there.emplace(name->number, file);
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

std::vector<PublishedSet> published_sets(const std::vector<std::string>& names, bool all) {
  std::vector<PublishedSet> sets;
  for (std::string name :
       names.empty() ? std::vector<std::string>{"magicbrush", "omniedit"} : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return char(std::tolower(uint8_t(c))); });
    if (name == "magicbrush") {
      sets.push_back(kMagicBrush);
    } else if (name == "omniedit") {
      if (!all) sets.push_back(kOmniEditMini);
      sets.push_back(kOmniEditPart);
      if (all) sets.back().wanted.clear();
    } else {
      throw UsageError(str("there is no data set '", name, "'",
                           did_you_mean(name, {"magicbrush", "omniedit"}),
                           "; there are magicbrush and omniedit"));
    }
  }
  return sets;
}

SetState look_for(const PublishedSet& set, const Path& folder) {
  SetState state;
  state.set = set;
  const Path cached = dataset_in_hub_cache(set.repository);
  state.place = set.in_cache ? hub_cache() : folder;
  std::vector<Path> files = parquet_in(cached);
  if (!set.in_cache)
    for (const Path& file : parquet_in(folder)) files.push_back(file);
  std::erase_if(files, [&set](const Path& file) { return !is_of(set, file); });
  state.found = look_at(files);
  state.commands = commands_for(set, state.found, folder);
  return state;
}

}  // namespace icedit
