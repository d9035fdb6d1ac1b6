#include "train/previews.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/buckets.h"
#include "data/transform.h"
#include "edit/pipeline.h"

namespace icedit {
namespace {

// The data set that train.sample_data names, with the rules of the one that is trained on.
EditDataset held_out(const TrainConfig& config) {
  DatasetConfig held_out = config.dataset;
  held_out.path = config.sample_data;
  held_out.key = "train.sample_data";
  held_out.split.clear();
  held_out.specific_task.clear();
  // Of the mixture's two kinds of columns, MagicBrush's.
  if (held_out.type == DatasetType::kEditWithOmini) held_out.type = DatasetType::kEdit;
  return EditDataset(held_out);
}

HalfSizes sizes_of(const EditSample& sample, const DatasetConfig& config) {
  if (config.resize == ResizeMode::kSquash)
    return HalfSizes::squares(config.condition_size, config.target_size);
  const std::vector<Size> buckets = bucket_sizes(config.condition_size);
  const Image& source = sample.source.image;
  const Size size = buckets[nearest_bucket(buckets, {source.width, source.height})];
  return {size, size};
}

SampleRow pair_of(const EditDataset& dataset, int64_t row) {
  const EditSample sample = decode(dataset.read(row));
  if (only_space(sample.instructions.front()))
    throw DataError(sample.where + ": the instruction is empty");
  const Image diptych =
      training_diptych(sample, dataset.rules(row), sizes_of(sample, dataset.config())).image;
  const int half = diptych.width / 2;
  return {sample.instructions.front(),
          {crop(diptych, 0, 0, half, diptych.height),
           crop(diptych, half, 0, 2 * half, diptych.height)}};
}

}  // namespace

Previews::Previews(const TrainConfig& config, const EditDataset& dataset) : config_(config) {
  std::optional<EditDataset> other;
  if (!config.sample_data.empty()) other.emplace(held_out(config));
  const EditDataset& from = other ? *other : dataset;
  // From all over a held-out file, which may be sorted by task.
  const int64_t stride = other ? std::max<int64_t>(1, from.size() / config.sample_pairs) : 1;
  constexpr int64_t kMostBad = 1000;  // a file with nothing in it does not take for ever
  const int64_t rows = std::min(from.size(), (config.sample_pairs + kMostBad) * stride);
  for (int64_t row = 0; row < rows && int64_t(pairs_.size()) < config.sample_pairs; row += stride) {
    if (auto pair = if_readable([&] { return pair_of(from, row); })) {
      pairs_.push_back(std::move(*pair));
      prompts_.push_back(from.rules(row).prefix + pairs_.back().caption);
    } else {
      log::warn("no sample is made of this pair: " + pair.why_not);
    }
  }
  if (pairs_.empty())
    throw DataError(str("none of the first ", rows,
                        " pairs can be read to make samples of; set train.sample_data to a file "
                        "with good ones, or train.sample_interval to 0"));
}

Image Previews::make(Trainer& trainer, const std::function<void()>& on_progress) const {
  Residency& residency = trainer.residency();
  std::vector<EditRequest> requests;
  int64_t steps = 0, done = 0;  // of all edits
  for (size_t i = 0; i < pairs_.size(); ++i) {
    EditRequest request;
    request.source = pairs_[i].pictures[0];
    request.width = request.source.width;
    request.instruction = pairs_[i].caption;
    request.seed = uint64_t(config_.seed) + i;
    if (config_.sample_steps > 0) request.steps = config_.sample_steps;
    if (config_.sample_guidance > 0) request.guidance = config_.sample_guidance;
    steps += request.steps.value_or(residency.files().defaults().num_inference_steps);
    requests.push_back(std::move(request));
  }
  Progress progress(str("previews after step ", trainer.steps(), ":"), steps, "step");
  progress.update(0);  // loading comes first, which may take long
  for (size_t i = 0; i < requests.size(); ++i) {
    on_progress();
    requests[i].prompt_embeds = trainer.text(prompts_[i]);
  }
  EditHooks hooks;
  hooks.stop = throw_if_interrupted;
  hooks.on_step = [&](int64_t, int64_t, int64_t) {
    progress.update(++done);
    on_progress();
  };
  hooks.on_stage = [&](const std::string&) { on_progress(); };
  std::vector<SampleRow> rows = pairs_;
  // Loaded here and not in the editor: what is made in its inference mode can never be trained
  // through.
  residency.vae();
  trainer.with_averages([&] {
    Editor editor(residency);
    editor.edit(requests, hooks, [&](size_t i, std::vector<EditedImage> images) {
      rows[i].pictures.push_back(std::move(images.front().image));
    });
  });
  if (trainer.encoders_unused()) residency.release(Part::kVae);
  return sample_grid({"source", "target", "edit"}, rows);
}

}  // namespace icedit
