// icedit data pack: a folder of pairs becomes a Parquet file.
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/data.h"
#include "cli/paths.h"
#include "data/pack.h"
#include "io/whole_folder.h"

namespace icedit::cli {

std::vector<SettingGroup> pack_groups(DataOptions& o) {
  SettingGroup group = {"Files", output_options(o, "the file to write, x.parquet")};
  group.settings.push_back(threads_option(o));
  group.settings.push_back(json_option(o));
  return {group, general_options(o.help)};
}

int pack_data(const DataOptions& options) {
  if (options.places.size() != 1)
    throw UsageError(
        str("icedit data pack takes one folder or JSONL file, not ", options.places.size()));
  if (options.output.empty()) throw UsageError("where to? Give -o x.parquet");
  if (Path(options.output).extension() != ".parquet")
    throw UsageError(str("-o ", options.output, ": expected a name that ends in .parquet"));
  expect_free(options.output, options.force);
  const auto rows = folder_rows(options.places[0]);
  const NewFiles made(options.output);
  const PackResult result = pack_rows(*rows, made.path(), threads_of(options));
  expect_name(options.output, made.put(made.path(), if_taken(options.force)));
  const uint64_t bytes = std::filesystem::file_size(options.output);
  if (options.json) {
    const Json json = {{"output", options.output},
                       {"rows", result.rows},
                       {"bytes", bytes},
                       {"unreadable", json_of(result.unreadable)}};
    std::cout << dumped(json, 2) << "\n";
  } else {
    std::cout << options.output << ": " << counted(result.rows, "row") << ", "
              << bytes_text(double(bytes)) << "\n";
  }
  if (result.unreadable.empty()) return 0;
  log::warn(str(result.unreadable.size(), " of ", rows->size(), " pairs were left out"));
  return static_cast<int>(ExitCode::kFailure);
}

}  // namespace icedit::cli
