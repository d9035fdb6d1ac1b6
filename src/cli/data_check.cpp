// icedit data check: one pass over a data set.
#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/data.h"
#include "cli/paths.h"
#include "cli/train_options.h"
#include "data/check.h"
#include "data/listing.h"
#include "data/locate.h"
#include "data/parquet_file.h"

namespace icedit::cli {
namespace {

// A pass goes from front to back: more than the row groups that are being read are not wanted.
constexpr size_t kCheckCacheBytes = size_t{64} << 20;

bool is_config(const std::string& place) {
  const std::string extension = extension_of(place);
  return extension == ".yaml" || extension == ".yml";
}

// By what is there: a folder without Parquet files or a JSONL file, or the first file's columns.
DatasetType guess_type(const std::vector<std::string>& places) {
  const std::string& first = places.front();
  if (extension_of(first) == ".jsonl" || (is_folder(first) && parquet_below(first).empty()))
    return DatasetType::kFolder;
  const std::vector<std::string> columns =
      ParquetFile(find_parquet({first}, "", "").front()).column_names();
  const bool omni = std::find(columns.begin(), columns.end(), "src_img") != columns.end();
  return omni ? DatasetType::kOmini : DatasetType::kEdit;
}

DatasetConfig config_of(const DataOptions& options) {
  const auto& places = options.places;
  DatasetConfig config;
  if (places.empty() || is_config(places[0])) {
    config = read_train_config("data check", places, options.overrides).dataset;
    if (!options.split.empty()) config.split = options.split;
    if (options.type)
      throw UsageError("--type is for files; a configuration has train.dataset.type");
    return config;
  }
  if (!options.overrides.empty())
    throw UsageError("--set is for a configuration; files are described by --type and --split");
  config.type = options.type ? *options.type : guess_type(places);
  if (config.type == DatasetType::kEditWithOmini)
    throw UsageError("--type edit_with_omini is two sets; check them one after the other");
  config.path = places;
  config.split = options.split;
  return config;
}

}  // namespace

std::vector<SettingGroup> check_groups(DataOptions& o) {
  return {{"What is checked",
           {{"type", "TYPE", "of files: edit, omini, edit_mask, folder", "by their columns",
             [&o](const Given& given) { o.type = choice_value(given, kDatasetTypes); }},
            {"split", "NAMES", "only files of these, as in train+dev", "", into(o.split)},
            override_option(o.overrides),
            threads_option(o),
            json_option(o)}},
          general_options(o.help)};
}

int check_data(const DataOptions& options) {
  DatasetConfig config = config_of(options);
  config.cache_bytes = kCheckCacheBytes;
  const EditDataset dataset(config);
  const DataReport report = check_dataset(dataset, threads_of(options));
  std::cout << (options.json ? report_json(report) + "\n" : report_text(report));
  return report.unreadable.count == 0 ? 0 : static_cast<int>(ExitCode::kFailure);
}

}  // namespace icedit::cli
