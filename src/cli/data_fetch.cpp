// icedit data fetch: what is there of the published data sets, and how to get the rest.
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/data.h"
#include "data/published.h"

namespace icedit::cli {
namespace {

std::string state_text(const SetState& state) {
  std::string text = str(state.set.name, ": ", state.set.repository, " in ",
                         state.set.in_cache ? "the Hugging Face cache " : "", state.place.string(),
                         state.set.in_cache ? "" : " or the cache", "\n");
  if (state.found.shards.empty() && state.found.damaged.empty()) text += "  nothing is there\n";
  for (const Shards& shards : state.found.shards) {
    text += str("  ", shards.split, ": ", shards.there.size(), " of ",
                state.set.wanted.empty() ? shards.of : int64_t(state.set.wanted.size()), " files");
    const std::vector<int64_t> missing = shards.missing();
    if (state.set.wanted.empty() && !missing.empty()) text += "; missing " + ranges_text(missing);
    text += "\n";
  }
  for (const BadRow& file : state.found.damaged) text += "  damaged: " + file.reason + "\n";
  if (state.found.rows > 0)
    text += str("  ", counted(state.found.rows, "row"), ", ", bytes_text(double(state.found.bytes)),
                "\n");
  for (const std::string& command : state.commands) text += "    " + command + "\n";
  if (state.commands.empty()) text += "  it is whole\n";
  return text;
}

Json state_json(const SetState& state) {
  Json splits = Json::array(), damaged = Json::array();
  for (const Shards& shards : state.found.shards)
    splits.push_back({{"split", shards.split},
                      {"of", shards.of},
                      {"there", shards.there.size()},
                      {"missing", shards.missing()}});
  for (const BadRow& file : state.found.damaged)
    damaged.push_back({{"file", file.where}, {"reason", file.reason}});
  return {{"name", state.set.name},
          {"repository", state.set.repository},
          {"place", state.place.string()},
          {"whole", state.commands.empty()},
          {"rows", state.found.rows},
          {"bytes", state.found.bytes},
          {"splits", splits},
          {"damaged", damaged},
          {"commands", state.commands}};
}

}  // namespace

std::vector<SettingGroup> fetch_groups(DataOptions& o) {
  return {
      {"What is looked for",
       {{"folder", "FOLDER", "of OmniEdit's files, where ICEdit's configurations expect them",
         "parquet", into(o.folder)},
        {"all", "", "all 1.2 million edits of OmniEdit, not the part that ICEdit was trained on",
         "", into(o.all)},
        json_option(o)}},
      general_options(o.help)};
}

int fetch_data(const DataOptions& options) {
  Json sets = Json::array();
  bool damaged = false;
  for (const PublishedSet& set : published_sets(options.places, options.all)) {
    const SetState state = look_for(set, options.folder);
    damaged = damaged || !state.found.damaged.empty();
    if (options.json)
      sets.push_back(state_json(state));
    else
      std::cout << state_text(state);
  }
  if (options.json) std::cout << dumped({{"sets", sets}}, 2) << "\n";
  return damaged ? static_cast<int>(ExitCode::kFailure) : 0;
}

}  // namespace icedit::cli
