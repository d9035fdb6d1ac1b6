// icedit data show: what the training step would be given, by the trainer's own loader.
#include <ATen/ATen.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/data.h"
#include "cli/paths.h"
#include "cli/train_options.h"
#include "train/config.h"
#include "train/samples.h"

namespace icedit::cli {
namespace {

// [C, H, W] in 0..1 back to the bytes that it was made of.
Image image_of(const Tensor& unit) {
  const Tensor bytes = unit.mul(255).round().to(at::kByte).permute({1, 2, 0}).contiguous();
  Image image(int(bytes.size(1)), int(bytes.size(0)), int(bytes.size(2)));
  std::copy_n(bytes.const_data_ptr<uint8_t>(), image.pixels.size(), image.pixels.begin());
  return image;
}

// The long beginning that all prompts share is left out above the picture.
std::string caption_of(const TrainBatch& batch, size_t slot, const RowRules& rules) {
  const std::string& prompt = batch.descriptions[slot];
  const std::string head = str(batch.number, ".", slot, "  row ", batch.rows[slot], "  ");
  if (batch.dropped[slot]) return head + "(dropped)";
  return head +
         (prompt.starts_with(rules.prefix) ? "... " + prompt.substr(rules.prefix.size()) : prompt);
}

SampleRow picture_of(const TrainBatch& batch, size_t slot, const RowRules& rules) {
  const auto at = int64_t(slot);
  return {caption_of(batch, slot, rules), {image_of(batch.image[at]), image_of(batch.mask[at])}};
}

Json facts_of(const TrainBatch& batch, size_t slot) {
  return {{"micro_batch", batch.number},
          {"epoch", batch.key.epoch},
          {"index", batch.key.index},
          {"slot", slot},
          {"row", batch.rows[slot]},
          {"where", batch.where[slot]},
          {"task", batch.tasks[slot]},
          {"condition_type", batch.condition_types[slot]},
          {"prompt", batch.descriptions[slot]},
          {"dropped", bool(batch.dropped[slot])},
          {"width", batch.image.size(3)},
          {"height", batch.image.size(2)}};
}

// With reference draws all micro-batches before have drawn from the same generator.
std::unique_ptr<Loader> open_at(const TrainConfig& config, const EditDataset& dataset,
                                int64_t index, Quarantine& quarantine) {
  LoaderOptions options = loader_options(config, dataset);
  options.workers = 0;
  const bool replay = config.draws == DrawMode::kReference;
  options.start = replay ? 0 : index;
  auto loader = std::make_unique<Loader>(dataset, options, quarantine);
  if (!replay || index == 0) return loader;
  Progress progress("drawing", index, "micro-batch");
  for (int64_t i = 0; i < index; ++i) {
    loader->next();
    progress.update(i + 1);
  }
  return loader;
}

void print(const Json& samples, const DataOptions& options) {
  if (options.json) {
    Json result = {{"samples", samples}};
    if (!options.output.empty()) result["output"] = options.output;
    std::cout << dumped(result, 2) << "\n";
    return;
  }
  for (const Json& f : samples)
    std::cout << "micro-batch " << f["micro_batch"] << ", sample " << f["slot"] << ": "
              << f["where"].get<std::string>() << ", " << f["width"] << "x" << f["height"]
              << (f["dropped"].get<bool>() ? ", prompt dropped" : "") << "\n"
              << f["prompt"].get<std::string>() << "\n";
}

}  // namespace

std::vector<SettingGroup> show_groups(DataOptions& o) {
  SettingGroup group = {
      "What is shown",
      {{"index", "N", "micro-batch N of the run, counted from 0 over all ranks and epochs", "0",
        integer(o.index, 0, int64_t{1} << 40)},
       {"count", "K", "so many micro-batches", "1", integer(o.count, 1, 1000)},
       override_option(o.overrides),
       json_option(o)}};
  for (Setting& option : output_options(o, "the picture; without it the prompts alone are printed"))
    group.settings.push_back(std::move(option));
  return {group, general_options(o.help)};
}

int show_data(const DataOptions& options) {
  if (!options.output.empty()) {
    format_of(options.output);
    expect_free(options.output, options.force);
  }
  const TrainConfig config = read_train_config("data show", options.places, options.overrides);
  const EditDataset dataset(config.dataset);
  Quarantine quarantine(Path(), config.max_bad_rows);
  const auto loader = open_at(config, dataset, options.index, quarantine);
  std::vector<SampleRow> pictures;
  Json samples = Json::array();
  for (int64_t i = 0; i < options.count; ++i) {
    const TrainBatch batch = loader->next();
    for (size_t slot = 0; slot < batch.rows.size(); ++slot) {
      pictures.push_back(picture_of(batch, slot, dataset.rules(batch.rows[slot])));
      samples.push_back(facts_of(batch, slot));
    }
  }
  if (!options.output.empty()) {
    const Image grid = sample_grid({"source, target", "mask"}, pictures);
    expect_name(options.output,
                write_text_atomically(options.output, encode_image(grid, format_of(options.output)),
                                      if_taken(options.force)));
    log::info("wrote " + options.output);
  }
  print(samples, options);
  return 0;
}

}  // namespace icedit::cli
