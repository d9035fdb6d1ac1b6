#pragma once
// What a training run is told: ICEdit's own YAML keys, and ours in the same words.
// Source of the former: ICEdit's train/train/config/*.yaml.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/loader.h"
#include "edit/precision.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace icedit {

enum class TrainMode { kLora, kMoeLora, kFull };

struct LoraConfig {
  int64_t r = 32;
  double lora_alpha = 32;
  std::string init_lora_weights = "gaussian";  // or "true": kaiming-uniform, peft's default
  // A text: an expression; a list: names or ends of names (peft's rules); none: init_lora's.
  std::vector<std::string> target_modules;
  bool target_list = false;  // whether a single one was given as a list
  // moe_lora. Targets whose path contains one of expert_modules get experts.
  int64_t num_experts = 4, expert_rank = 32, top_k = 1;
  double expert_alpha = 32;
  std::vector<std::string> expert_modules = {"ff.net", "proj_out"};
  double balance_loss = 0;  // the weight of icedit::balance_loss of every mixture
};

struct TrainConfig {
  std::string flux_path;                   // a folder, an id, "nano"
  DtypeChoice dtype = DtypeChoice::kBF16;  // of the frozen base
  Quant base_quant = Quant::kNone;         // of its large matrices

  TrainMode mode = TrainMode::kLora;
  std::string init_lora;  // an adapter to start from, by its path or id; "": a fresh one
  LoraConfig lora;
  OptimizerConfig optimizer;
  RateCurve lr_schedule = RateCurve::kConstant;
  int64_t warmup_steps = 0;

  int64_t batch_size = 1, accumulate_grad_batches = 1;
  int64_t dataloader_workers = 5;
  int64_t save_interval = 1000, sample_interval = 1000;  // steps; 0: never
  // Which pairs samples are made of: evenly spaced ones of these files, else the data set's first.
  std::vector<std::string> sample_data;
  int64_t sample_pairs = 4;
  int64_t sample_steps = 0;        // 0: the model's
  double sample_guidance = 0;      // 0: the model's
  int64_t max_steps = -1;          // -1: until it is stopped
  int64_t keep_checkpoints = 3;    // 0: all
  double gradient_clip_val = 0.5;  // 0: none
  bool gradient_checkpointing = false;
  std::string save_path = "runs";
  int64_t seed = 666;
  DrawMode draws = DrawMode::kKeyed;
  TimestepSampling timestep_sampling = TimestepSampling::kLogitNormal;
  LossTokens loss = LossTokens::kAll;
  bool use_offset_noise = false;
  double ema_decay = 0;             // 0: none
  bool cache = false;               // latents and embeddings stay in memory
  std::string cache_dir;            // and on disk, for this run and others; "": they do not
  int64_t max_sequence_length = 0;  // T5 tokens; 0: the model's
  int64_t max_bad_rows = 100;
  int64_t max_bad_steps = 10;  // not finite, in a row
  bool check_memory = true;    // refuse what is far from fitting
  DatasetConfig dataset;

  std::vector<std::string> without_effect;  // keys that were given, and that nothing reads

  ObjectiveOptions objective() const;
  // Whether what the encoders make is kept.
  bool caches() const { return cache || !cache_dir.empty(); }
};

// `file`: YAML; `overrides`: "train.batch_size=4", applied in turn. Throws NoInputError, UsageError
// naming the file and the key: unknown (with the nearest), twice (with both lines), of the wrong
// type, out of range.
TrainConfig read_config(const std::string& file, const std::vector<std::string>& overrides);
TrainConfig parse_config(const std::string& yaml, const std::string& where,
                         const std::vector<std::string>& overrides = {});

// All keys with their values: a file that read_config reads back to the same.
std::string effective_yaml(const TrainConfig& config);
// A line "train.seed: 666" for each, for comparing ranks.
std::string config_lines(const TrainConfig& config);
// Those that change what is computed, for comparing a run with its checkpoint.
std::map<std::string, std::string> computing_settings(const TrainConfig& config);

// The keys, in the order of the effective file. Inert ones are not among them.
std::vector<std::string> config_keys();

// What the loader of a run on one rank is told, from its start. With resize: bucket all pictures
// are measured first (assign_buckets). Throws UsageError.
LoaderOptions loader_options(const TrainConfig& config, const EditDataset& dataset);

}  // namespace icedit
