#include "data/published.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <numeric>

#include "base/error.h"
#include "base/nearest.h"
#include "base/shell.h"
#include "data/listing.h"
#include "data/locate.h"
#include "io/hub.h"

namespace icedit {
namespace {

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
