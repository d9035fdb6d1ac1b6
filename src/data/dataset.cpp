#include "data/dataset.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "data/locate.h"
#include "edit/diptych.h"

namespace icedit {
namespace {

constexpr const char* kMaskPrefix =
    "A diptych with two side-by-side images of the same scene. On the right, the scene is exactly "
    "the same as on the "
    "left. \n ";
constexpr int kMaxSize = 8192;

RowRules magicbrush_rules(const DatasetConfig& config) {
  return {kPromptPrefix, " ", "edit", config.crop_the_noise.value_or(true), /*choose=*/false};
}

RowRules mask_rules(const DatasetConfig& config) {
  return {kMaskPrefix, " \n ", "edit_n", config.crop_the_noise.value_or(true), /*choose=*/false};
}

// The class for OmniEdit alone drops to "", the mixture to " ".
RowRules omniedit_rules(const DatasetConfig& config, const char* dropped) {
  return {kPromptPrefix, dropped, "edit", config.crop_the_noise.value_or(false), /*choose=*/true};
}

RowRules folder_rules(const DatasetConfig& config) {
  return {kPromptPrefix, " ", "edit", config.crop_the_noise.value_or(false), /*choose=*/true};
}

void check_size(const char* key, int size) {
  if (size < 1 || size > kMaxSize)
    throw UsageError(
        str("train.dataset.", key, " is ", size, ", expected 1 to ", kMaxSize, " pixels"));
}

}  // namespace

const Choices<DatasetType> kDatasetTypes = {{"edit", DatasetType::kEdit},
                                            {"omini", DatasetType::kOmini},
                                            {"edit_with_omini", DatasetType::kEditWithOmini},
                                            {"edit_mask", DatasetType::kEditMask},
                                            {"folder", DatasetType::kFolder}};
const Choices<ResizeMode> kResizeModes = {{"squash", ResizeMode::kSquash},
                                          {"bucket", ResizeMode::kBucket}};

void DatasetConfig::check() const {
  check_size("condition_size", condition_size);
  check_size("target_size", target_size);
  if (!(drop_text_prob >= 0 && drop_text_prob <= 1))
    throw UsageError(str("train.dataset.drop_text_prob is ", drop_text_prob, ", expected 0 to 1"));
  if (path.empty() && type != DatasetType::kEdit && type != DatasetType::kEditMask)
    throw UsageError("train.dataset.path is missing: name Parquet files, a glob or a folder");
  if (!specific_task.empty() && type != DatasetType::kOmini && type != DatasetType::kEditWithOmini)
    throw UsageError(
        "train.dataset.specific_task chooses among OmniEdit's tasks: it goes with the types "
        "omini and edit_with_omini");
}

EditDataset::EditDataset(const DatasetConfig& config) : config_(config) {
  config_.check();
  const auto& c = config_;
  const auto magicbrush = [&c](const std::vector<std::string>& path, const std::string& split,
                               const std::string& key) {
    const std::vector<std::string> published = {"osunlp/MagicBrush"};
    return magicbrush_rows(
        find_parquet(path.empty() ? published : path, split, "train+dev", c.config_folder, key),
        c.cache_bytes);
  };
  const auto omniedit = [&c] {
    return omniedit_rows(find_parquet(c.path, c.split, "train", c.config_folder, c.key),
                         c.specific_task, c.cache_bytes);
  };
  switch (c.type) {
    case DatasetType::kEdit:
      add(magicbrush(c.path, c.split, c.key), magicbrush_rules(c));
      break;
    case DatasetType::kEditMask:
      add(magicbrush(c.path, c.split, c.key), mask_rules(c));
      break;
    case DatasetType::kOmini:
      add(omniedit(), omniedit_rules(c, ""));
      break;
    case DatasetType::kEditWithOmini:
      add(magicbrush(c.magicbrush_path, "", "train.dataset.magicbrush_path"), magicbrush_rules(c));
      add(omniedit(), omniedit_rules(c, " "));
      break;
    case DatasetType::kFolder:
      for (const std::string& folder : c.path)
        add(folder_rows(folder, c.config_folder, c.key), folder_rules(c));
      break;
  }
  if (size() == 0) throw DataError(str("train.dataset: the files of ", c.path, " have no row"));
}

void EditDataset::add(std::unique_ptr<EditRows> rows, RowRules rules) {
  first_.push_back(first_.back() + rows->size());
  parts_.push_back({std::move(rows), std::move(rules)});
}

std::pair<size_t, int64_t> EditDataset::place(int64_t row) const {
  if (row < 0 || row >= size()) throw std::out_of_range(str("row ", row, " of ", size()));
  const size_t part =
      size_t(std::upper_bound(first_.begin(), first_.end(), row) - first_.begin()) - 1;
  return {part, row - first_[part]};
}

EncodedSample EditDataset::read(int64_t row) const {
  const auto [part, at] = place(row);
  return parts_[part].rows->read(at);
}

std::string EditDataset::where(int64_t row) const {
  const auto [part, at] = place(row);
  return parts_[part].rows->where(at);
}

const RowRules& EditDataset::rules(int64_t row) const {
  return parts_[place(row).first].rules;
}

std::vector<std::pair<std::string, int64_t>> EditDataset::task_counts() const {
  std::vector<std::pair<std::string, int64_t>> counts;
  const size_t first = config_.type == DatasetType::kEditWithOmini ? 1 : 0;
  for (size_t part = first; part < parts_.size(); ++part)
    for (const std::string& task : parts_[part].rows->tasks()) {
      const auto found = std::find_if(counts.begin(), counts.end(), [&task](const auto& counted) {
        return counted.first == task;
      });
      if (found == counts.end())
        counts.emplace_back(task, 1);
      else
        ++found->second;
    }
  return counts;
}

std::string EditDataset::task_statistics() const {
  const auto counts = task_counts();
  int64_t all = 0;
  for (const auto& [task, count] : counts) all += count;
  std::string text;
  for (const auto& [task, count] : counts) {
    char share[32];
    std::snprintf(share, sizeof share, "%.2f", 100.0 * double(count) / double(all));
    text += str(text.empty() ? "" : "\n", task, ": ", count, " data (", share, "%)");
  }
  return text;
}

}  // namespace icedit
