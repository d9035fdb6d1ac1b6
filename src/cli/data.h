#pragma once
// `icedit data`: show, check, pack, fetch; one file each.
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace icedit::cli {

struct DataOptions {
  std::vector<std::string> places;     // what is no option
  std::vector<std::string> overrides;  // --set
  std::string output, split, folder = "parquet";
  std::optional<DatasetType> type;            // of files
  int64_t index = 0, count = 1, threads = 0;  // threads 0: one a core
  bool json = false, force = false, all = false, help = false;
};

struct DataCommand {
  std::string name, usage, about;
  std::vector<SettingGroup> (*groups)(DataOptions& options);  // which must outlive them
  int (*run)(const DataOptions& options);
};

const std::vector<DataCommand>& data_commands();
std::string data_help(const DataCommand& command);

std::vector<SettingGroup> show_groups(DataOptions& options);
std::vector<SettingGroup> check_groups(DataOptions& options);
std::vector<SettingGroup> pack_groups(DataOptions& options);
std::vector<SettingGroup> fetch_groups(DataOptions& options);
int show_data(const DataOptions& options);
int check_data(const DataOptions& options);
int pack_data(const DataOptions& options);
int fetch_data(const DataOptions& options);

// Options that several of them have.
Setting json_option(DataOptions& options);
Setting threads_option(DataOptions& options);
std::vector<Setting> output_options(DataOptions& options, const std::string& help);
int threads_of(const DataOptions& options);

}  // namespace icedit::cli
