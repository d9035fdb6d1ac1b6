#include "train/cache_fill.h"

#include <ATen/ATen.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/prepare.h"

namespace icedit {
namespace {

std::vector<std::string> prompts_of(const PreparedSample& sample, const RowRules& rules,
                                    double drop_text_prob) {
  std::vector<std::string> prompts;
  if (drop_text_prob < 1) {
    const size_t choices = rules.choose ? sample.instructions.size() : 1;
    for (size_t choice = 0; choice < choices; ++choice)
      prompts.push_back(description(rules, sample.instructions, {choice, false}));
  }
  if (drop_text_prob > 0) prompts.push_back(rules.dropped);
  return prompts;
}

// What the entries hang on, as far as it can be told without reading the pictures. Where the files
// were changed all the same, what is missing is encoded when it is asked for.
std::string name_of(const EditDataset& dataset) {
  const DatasetConfig& c = dataset.config();
  return str(dataset.size(), " rows, ", dataset.where(0), " to ", dataset.where(dataset.size() - 1),
             ", type ", int(c.type), ", ", c.condition_size, " ", c.target_size, " ", int(c.resize),
             ", crop ", c.crop_the_noise ? int(*c.crop_the_noise) : -1, ", drop ",
             c.drop_text_prob > 0, c.drop_text_prob < 1);
}

}  // namespace

void fill_cache(Conditioner& conditioner, const EditDataset& dataset, const Loader& loader,
                Group& group, bool worth_it) {
  const std::string name = name_of(dataset);
  if (group.all(conditioner.was_filled(name))) {
    if (group.is_first()) log::info("latents and embeddings are all in train.cache_dir");
    return;
  }
  if (!worth_it) return;
  const bool shared = conditioner.cache().on_disk();
  const int64_t first = shared ? group.rank() : 0, step = shared ? group.size() : 1;
  std::optional<Progress> bar;
  if (group.is_first()) bar.emplace("encoding the data", dataset.size(), "pair");
  for (int64_t row = first; row < dataset.size(); row += step) {
    throw_if_interrupted();
    // Of a row that cannot be read nothing: the loader will say so, and take another.
    const auto sample = if_readable([&] { return prepare(dataset, row, loader.half_sizes(row)); });
    if (sample) {
      conditioner.fill(to_unit_tensor(sample->diptych.image).unsqueeze(0),
                       to_unit_tensor(sample->diptych.mask).unsqueeze(0),
                       prompts_of(*sample, dataset.rules(row), dataset.config().drop_text_prob));
    }
    if (bar) bar->update(std::min(row + step, dataset.size()));
  }
  const bool whole = group.all(!conditioner.cache().lost_some());
  conditioner.end_filling(name, whole, group.is_first());
}

}  // namespace icedit
