#pragma once
// What `train.dataset` names: rows, and what each published class makes of them.
// Source: ICEdit's train/src/train/data.py (EditDataset, EditDataset_mask, OminiDataset,
// EditDataset_with_Omini).
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/setting.h"
#include "data/rows.h"

namespace icedit {

enum class DatasetType { kEdit, kOmini, kEditWithOmini, kEditMask, kFolder };
enum class ResizeMode {
  kSquash,  // to a square of condition_size, as published
  kBucket   // to the nearest aspect ratio of about condition_size^2 pixels
};
// As configurations spell them.
extern const Choices<DatasetType> kDatasetTypes;
extern const Choices<ResizeMode> kResizeModes;

// The keys of `train.dataset` in ICEdit's YAML, and ours beside them.
struct DatasetConfig {
  DatasetType type = DatasetType::kEditWithOmini;
  // Globs, files, folders, ids in the Hugging Face cache; of OmniEdit for the types with omini.
  // Empty: MagicBrush.
  std::vector<std::string> path;
  std::vector<std::string> magicbrush_path = {
      "osunlp/MagicBrush"};  // edit_with_omini: the other part
  std::string split;         // "": MagicBrush's train, then dev; OmniEdit's train
  int condition_size = 512, target_size = 512;  // pixels of the source's and the target's square
  double drop_text_prob = 0.1;
  std::vector<std::string> specific_task;  // of OmniEdit's rows; empty: all
  std::optional<bool> crop_the_noise;      // unset: for MagicBrush's rows only
  ResizeMode resize = ResizeMode::kSquash;
  size_t cache_bytes = size_t{512} << 20;  // of row groups, a part
  std::string key = "train.dataset.path";  // what errors name `path` by
  std::string config_folder;  // of the YAML file, for errors: where a path that is not there may be

  // Throws UsageError naming the key.
  void check() const;
};

// What a class does to its rows.
struct RowRules {
  std::string prefix;   // of the prompt, before the instruction
  std::string dropped;  // the prompt that stands in for a dropped one
  std::string condition_type;
  bool crop_the_noise;  // cut the bottom 1/32, where MagicBrush's pictures have a broken strip
  bool choose;          // draws one of several instructions
};

class EditDataset {
 public:
  // Finds and opens the files. Throws UsageError, DataError, NoInputError.
  explicit EditDataset(const DatasetConfig& config);

  int64_t size() const { return first_.back(); }
  // Rows in the parts' order: MagicBrush (train, dev), then OmniEdit. Threads may read at once.
  EncodedSample read(int64_t row) const;
  std::string where(int64_t row) const;  // "FILE: row N"
  const RowRules& rules(int64_t row) const;
  const DatasetConfig& config() const { return config_; }

  // How many rows there are of each task, in the order of their first appearance; with
  // edit_with_omini of OmniEdit's rows.
  std::vector<std::pair<std::string, int64_t>> task_counts() const;
  // "removal: 12 data (8.00%)" lines, as the published class prints; "" where no row has a task.
  std::string task_statistics() const;

 private:
  struct Part {
    std::unique_ptr<EditRows> rows;
    RowRules rules;
  };
  void add(std::unique_ptr<EditRows> rows, RowRules rules);
  std::pair<size_t, int64_t> place(int64_t row) const;  // part, row in it

  DatasetConfig config_;
  std::vector<Part> parts_;
  std::vector<int64_t> first_ = {0};  // of every part, then the number of rows
};

}  // namespace icedit
