#pragma once
// The data sets that ICEdit was trained on: what is there of them, and the commands that get the
// rest. Nothing is downloaded. Source: ICEdit's train/parquet/prepare.sh and its configurations.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/rows.h"

namespace icedit {

// Hugging Face names files SPLIT-NNNNN-of-MMMMM.parquet.

// The files of one split.
struct Shards {
  std::string split;  // "train"
  int64_t of = 0;     // how many it has
  std::map<int64_t, Path> there;
  std::vector<int64_t> missing() const;
};

struct FoundFiles {
  std::vector<Shards> shards;
  std::vector<BadRow> damaged;  // file and why; they are not in `shards`
  int64_t rows = 0;
  uint64_t bytes = 0;
};

// Opens every file's footer: one that was cut off has none.
FoundFiles look_at(const std::vector<Path>& files);

// {0, 1, 2, 5} -> "0-2, 5".
std::string ranges_text(const std::vector<int64_t>& numbers);

struct PublishedSet {
  std::string name;        // "MagicBrush"
  std::string repository;  // of data sets at Hugging Face
  bool in_cache = false;   // where ICEdit looks for it: the Hugging Face cache, or else a folder
  int64_t of = 0;          // files of its training split; 0: as the names of those there say
  std::vector<int64_t> wanted;  // their numbers; empty: all
};

// MagicBrush; of OmniEdit what ICEdit takes (a selection of another publisher and a few files), or
// with `all` the 1.2 million edits. `names`: "magicbrush", "omniedit"; empty: both. Throws
// UsageError.
std::vector<PublishedSet> published_sets(const std::vector<std::string>& names, bool all);

struct SetState {
  PublishedSet set;
  Path place;                         // where it was looked for
  FoundFiles found;                   // its own files alone
  std::vector<std::string> commands;  // what is to be done; empty: it is whole
};

// `folder`: for sets that are not in the cache.
SetState look_for(const PublishedSet& set, const Path& folder);

}  // namespace icedit
