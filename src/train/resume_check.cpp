#include "train/resume_check.h"

#include <ATen/Parallel.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "io/files.h"

namespace icedit {
namespace {

constexpr const char* kAccumulate = "train.accumulate_grad_batches";

// ", from its adapter with train.init_lora: PATH" for the end of an error; "" where all weights
// were trained.
std::string start_from(const LoadedCheckpoint& checkpoint) {
  if (checkpoint.state.adapter.modules.empty()) return "";
  return str(", from its adapter with train.init_lora: ", checkpoint.folder.string());
}

// A value, or a YAML list of them, as the places that they would name if they were paths. Values
// that are none are the same places only where they are the same.
std::vector<Path> places(const std::string& values, const Path& working_folder) {
  std::vector<Path> places;
  std::istringstream lines(values);
  for (std::string line; std::getline(lines, line);) {
    const Path place =
        same_place(working_folder / (line.starts_with("- ") ? line.substr(2) : line));
    places.push_back(place.has_filename() ? place : place.parent_path());
  }
  return places;
}

// "1 x 4, 2 x 2 or 4 x 1" for 4.
std::string products(int64_t product) {
  std::vector<std::string> all;
  for (int64_t ranks = 1; ranks <= product; ++ranks)
    if (product % ranks == 0) all.push_back(str(ranks, " x ", product / ranks));
  std::string text;
  for (size_t i = 0; i < all.size(); ++i)
    text += str(i == 0 ? "" : i + 1 == all.size() ? " or " : ", ", all[i]);
  return text;
}

// The gradients of a step are the mean over ranks x accumulation micro-batches; how they are shared
// out changes nothing.
void expect_same_product(const LoadedCheckpoint& checkpoint, const TrainConfig& config, int ranks) {
  const auto found = checkpoint.state.settings.find(kAccumulate);
  if (found == checkpoint.state.settings.end()) return;
  const int64_t had_ranks = checkpoint.state.ranks;
  const int64_t had = std::strtoll(found->second.c_str(), nullptr, 10);
  const int64_t now = config.accumulate_grad_batches, product = had_ranks * had;
  if (product == ranks * now) return;
  const std::string remedy =
      product % ranks == 0 ? str("set ", kAccumulate, " to ", product / ranks)
                           : str("ranks x accumulate_grad_batches may be ", products(product));
  throw UsageError(str(checkpoint.folder.string(), " is of a run with ", product, " micro-batch",
                       product == 1 ? "" : "es", " a step (ranks x ", kAccumulate, ": ", had_ranks,
                       " x ", had, "), and here it would be ", ranks * now, " (", ranks, " x ", now,
                       "); ", remedy));
}

void expect_same_data(const LoadedCheckpoint& checkpoint, const DataMark& now) {
  const DataMark& had = checkpoint.state.data;
  if (had.rows == 0) return;
  const std::string where = checkpoint.folder.string();
  if (had.rows != now.rows)
    throw UsageError(str(where, " is of a run on ", had.rows, " pairs, and train.dataset has ",
                         now.rows,
                         " now, so their order would be another. Bring back the data, or start a "
                         "run of its own",
                         start_from(checkpoint)));
  if (had.digest != now.digest)
    log::warn(str(where,
                  " is of a run on other pairs than train.dataset has now, though as many: "
                  "what follows is not what the run would have become"));
}

}  // namespace

void expect_same_settings(const LoadedCheckpoint& checkpoint,
                          const std::map<std::string, std::string>& wanted,
                          const std::vector<std::string>& allowed) {
  struct Values {
    std::string then = "not set", now = "not set";
  };
  std::map<std::string, Values> settings;
  for (const auto& [key, value] : checkpoint.state.settings) settings[key].then = value;
  for (const auto& [key, value] : wanted) settings[key].now = value;
  for (const std::string& key : allowed) settings.erase(key);
  const Path here = std::filesystem::current_path();
  const Path there = checkpoint.state.working_folder;
  std::string differences;
  for (const auto& [key, value] : settings) {
    const auto& [then, now] = value;
    if (then == now || places(then, there.empty() ? here : there) == places(now, here)) continue;
    differences += str(differences.empty() ? "" : "; ", key, " was ", then, " and is ", now);
  }
  if (differences.empty()) return;
  throw UsageError(
      str(checkpoint.folder.string(), " is of a run with another configuration: ", differences,
          ". Resume with the same, or start a run of its own", start_from(checkpoint)));
}

DataMark mark_of(const EditDataset& dataset) {
  DataMark mark;
  mark.rows = dataset.size();
  std::string sums;
  for (const int64_t row : {int64_t{0}, mark.rows / 2, mark.rows - 1}) {
    const auto sample = if_readable([&] { return dataset.read(row); });
    if (sample) {
      sums += sha256(as_text(sample->source)) + sha256(as_text(sample->target));
      for (const std::string& instruction : sample->instructions) sums += sha256(instruction);
    }
    sums += "\n";
  }
  mark.digest = sha256(sums);
  return mark;
}

void expect_same_rows(const DataMark& data, Group& group) {
  group.expect_equal("the data",
                     str(data.rows, " pairs\nSHA-256 of the first, middle and last ", data.digest));
}

namespace {

// Keys that the run's program did not know, with the values that stand for what it did.
std::vector<std::string> later_keys(const LoadedCheckpoint& checkpoint,
                                    const std::map<std::string, std::string>& wanted) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : computing_settings(TrainConfig()))
    if (checkpoint.state.settings.count(key) == 0 && wanted.at(key) == value) keys.push_back(key);
  return keys;
}

}  // namespace

void expect_resumable(const LoadedCheckpoint& checkpoint, const TrainConfig& config,
                      const DataMark& data, int ranks) {
  const bool ranks_known = checkpoint.state.ranks > 0;
  const std::map<std::string, std::string> wanted = computing_settings(config);
  std::vector<std::string> allowed = later_keys(checkpoint, wanted);
  if (ranks_known) allowed.emplace_back(kAccumulate);
  expect_same_settings(checkpoint, wanted, allowed);
  if (ranks_known) expect_same_product(checkpoint, config, ranks);
  expect_same_data(checkpoint, data);
  const int had = checkpoint.state.threads, now = at::get_num_threads();
  if (had > 0 && had != now)
    log::warn(str(checkpoint.folder.string(), " is of a run on ", counted(had, "thread"),
                  ", here there are ", now, ": equal but for the last bits; --threads ", had,
                  " gives the same"));
}

}  // namespace icedit
