#pragma once
// Training on the tiny model of the goldens.
#include <gtest/gtest.h>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "train/trainer.h"

namespace icedit {

inline TrainConfig tiny_config(const std::vector<std::string>& overrides = {}) {
  const std::string yaml = str("flux_path: ", golden::path("tiny-fill").string(), R"(
dtype: float32
train:
  max_steps: 8
  batch_size: 2
  dataloader_workers: 0
  max_sequence_length: 32
  dataset: {type: edit, path: )",
                               golden::path("dataset/magicbrush.parquet").string(), R"(,
            condition_size: 64, target_size: 64}
  lora_config: {r: 4, lora_alpha: 4, target_modules: [to_q, proj_out, ff.net.2]}
  optimizer: {type: AdamW, params: {lr: 1.0e-3}}
)");
  return parse_config(yaml, "test.yaml", overrides);
}

// A model, its data and a trainer. A group of its own unless one is given.
struct Session {
  TrainConfig config;
  Quarantine quarantine{Path(), 10};
  EditDataset dataset{config.dataset};
  Residency residency;
  std::unique_ptr<Group> alone = make_group(LaunchEnv());
  Trainer trainer;

  explicit Session(const TrainConfig& c, Group* group = nullptr,
                   const LoadedCheckpoint* from = nullptr, at::Device device = at::kCPU)
      : config(c),
        residency(model(config), options(config, device)),
        trainer(config, residency, dataset, quarantine, group ? *group : *alone, -1, from) {}

  static ModelFiles model(const TrainConfig& config) {
    ModelRequest request;
    request.model = config.flux_path;
    return ModelFiles::find(request);
  }
  static ResidencyOptions options(const TrainConfig& config, at::Device device) {
    ResidencyOptions options;
    options.device = device;
    options.dtype = config.dtype;
    options.quant = config.base_quant;
    options.keep = Keep::kAll;
    return options;
  }
};

inline NamedTensors copies(const NamedTensors& tensors) {
  NamedTensors copied;
  for (const auto& [name, tensor] : tensors) copied.emplace_back(name, tensor.detach().clone());
  return copied;
}

inline void expect_equal(const NamedTensors& got, const NamedTensors& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].first, want[i].first);
    EXPECT_TRUE(golden::equal(got[i].second, want[i].second)) << got[i].first;
  }
}

inline NamedTensors after(const TrainConfig& config, int steps) {
  Session session(config);
  for (int i = 0; i < steps; ++i) session.trainer.step();
  return copies(session.trainer.parameters());
}

}  // namespace icedit
