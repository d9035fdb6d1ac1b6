#include "train/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/nearest.h"
#include "data/buckets.h"
#include "nn/recompute.h"
#include "train/config_keys.h"
#include "train/yaml.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// In ICEdit's files because OminiControl has them; the objective reads none of them.
const std::vector<std::string> kInert = {"model.union_cond_attn",
                                         "model.add_cond_attn",
                                         "model.latent_lora",
                                         "model.use_sep",
                                         "train.dataset.image_size",
                                         "train.dataset.padding",
                                         "train.dataset.drop_image_prob",
                                         "train.condition_type",
                                         "train.wandb.project",
                                         "train.wandb.name"};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_group(const std::vector<std::string>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const auto& other) { return other.starts_with(name + "."); });
}

class Reader {
 public:
  Reader(TrainConfig& config, std::string where)
      : config_(config), where_(std::move(where)), keys_(keys_of(config)) {
    for (const ConfigKey& key : keys_) names_.push_back(key.name);
    names_.insert(names_.end(), kInert.begin(), kInert.end());
  }

  void walk(const YAML::Node& node, const std::string& path) {
    if (!path.empty() && contains(names_, path)) return take(node, path);
    if (!path.empty() && !is_group(names_, path)) unknown(path);
    if (node.IsNull() && !path.empty()) return;
    if (!node.IsMap())
      throw UsageError(str(where_, ": ", path.empty() ? "the file" : path, " is no group of keys"));
    for (const auto& entry : node) {
      const auto name = entry.first.as<std::string>("");
      const std::string full = path.empty() ? name : path + "." + name;
      walk(entry.second, full);
    }
  }

 private:
  void take(const YAML::Node& node, const std::string& path) {
    if (contains(kInert, path)) {
      config_.without_effect.push_back(path);
      return;
    }
    for (const ConfigKey& key : keys_) {
      if (key.name != path) continue;
      try {
        key.set(node);
      } catch (const UsageError& error) {  // the key does not know its file
        throw UsageError(str(where_, ": ", error.what()));
      }
    }
  }

  [[noreturn]] void unknown(const std::string& path) const {
    throw UsageError(str(where_, ": there is no key '", path, "'", hint(path)));
  }

  // A slip in the last word; the right word in another group; a part of a key; the group's keys.
  std::string hint(const std::string& path) const {
    const size_t dot = path.rfind('.') + 1;  // 0: no group
    const std::string group = path.substr(0, dot), last = path.substr(dot);
    std::vector<std::string> siblings, elsewhere, longer;
    for (const std::string& name : names_) {
      if (name.ends_with("." + last)) elsewhere.push_back(name);
      if (!name.starts_with(group)) continue;
      const std::string word = name.substr(dot, name.find('.', dot) - dot);
      if (!contains(siblings, word)) siblings.push_back(word);
      if (word.ends_with("_" + last)) longer.push_back(group + word);
    }
    if (const std::string near = nearest(last, siblings); !near.empty())
      return str("; did you mean '", group, near, "'?");
    if (!elsewhere.empty()) return str("; did you mean '", elsewhere[0], "'?");
    if (!longer.empty()) return str("; did you mean ", longer, "?");
    if (siblings.size() > 12) return "; docs/training.md lists the keys";
    return str("; '", path.substr(0, dot - 1), "' has ", siblings);
  }

  TrainConfig& config_;
  std::string where_;
  std::vector<ConfigKey> keys_;
  std::vector<std::string> names_;
};

// Goes down (a YAML::Node is a reference) and sets the last part.
void assign(YAML::Node node, const std::string& path, const YAML::Node& value) {
  const size_t dot = path.find('.');
  if (dot == std::string::npos) {
    node[path] = value;
    return;
  }
  YAML::Node next = node[path.substr(0, dot)];
  if (next.IsDefined() && !next.IsMap() && !next.IsNull())
    throw UsageError(str("--set: '", path.substr(0, dot),
                         "' is no group of keys in the file, so no key in it can be set"));
  assign(next, path.substr(dot + 1), value);
}

void override_key(const YAML::Node& root, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError(str("--set is '", text, "', expected KEY=VALUE as in train.batch_size=4"));
  if (equals + 1 == text.size())
    throw UsageError(str("--set ", text,
                         " gives no value, expected KEY=VALUE; null takes what the "
                         "file says away where there may be none"));
  const YAML::Node value = read_yaml(text.substr(equals + 1), "--set " + text);
  assign(root, text.substr(0, equals), value);
}

// All nodes are const, so that looking for a key does not make it.
bool has_experts(const YAML::Node& root) {
  const YAML::Node train = root["train"];
  if (!train.IsDefined() || !train.IsMap()) return false;
  const YAML::Node lora = train["lora_config"];
  return lora.IsDefined() && lora.IsMap() && lora["num_experts"].IsDefined();
}

// Groups that stand at the top only for their anchors' sake.
void drop_anchor_holders(YAML::Node root, const std::vector<std::string>& keys) {
  std::vector<std::string> holders;
  for (const auto& entry : root) {
    const auto name = entry.first.as<std::string>("");
    const bool known = contains(keys, name) || is_group(keys, name) || is_group(kInert, name);
    if (!known && is_anchored(root, name)) holders.push_back(name);
  }
  for (const std::string& name : holders) root.remove(name);
}

void check(const TrainConfig& c, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw UsageError(where + ": " + what); };
  if (c.flux_path.empty()) fail("flux_path is missing: a model folder, an id, or nano");
  if (c.mode != TrainMode::kFull && c.lora.target_modules.empty() && c.init_lora.empty())
    fail("train.lora_config.target_modules is missing: an expression over module names");
  if (c.mode == TrainMode::kMoeLora && c.lora.top_k > c.lora.num_experts)
    fail(str("train.lora_config.top_k is ", c.lora.top_k, ", expected at most num_experts, ",
             c.lora.num_experts));
  if (c.mode != TrainMode::kMoeLora && c.lora.balance_loss > 0)
    fail("train.lora_config.balance_loss is of experts, which only mode moe_lora has");
  if (c.mode == TrainMode::kFull && !c.init_lora.empty())
    fail("train.init_lora is an adapter, which mode full has not");
  if (c.mode == TrainMode::kFull && c.base_quant != Quant::kNone)
    fail("train.base_quant is of frozen weights, which mode full has not");
  if (c.max_steps == 0)
    fail("train.max_steps is 0, expected at least 1, or -1 to train until it is stopped");
  if (c.save_path.empty()) fail("train.save_path is empty, expected a folder, as runs");
  c.dataset.check();
}

}  // namespace

ObjectiveOptions TrainConfig::objective() const {
  ObjectiveOptions options;
  options.timesteps = timestep_sampling;
  options.use_offset_noise = use_offset_noise;
  options.loss = loss;
  options.around =
      stopping(throw_if_interrupted, gradient_checkpointing ? recomputed_block : AroundBlock());
  return options;
}

TrainConfig read_config(const std::string& file, const std::vector<std::string>& overrides) {
  TrainConfig config = parse_config(read_file(file, size_t{1} << 20), file, overrides);
  config.dataset.config_folder = fs::absolute(file).parent_path().string();
  return config;
}

TrainConfig parse_config(const std::string& yaml, const std::string& where,
                         const std::vector<std::string>& overrides) {
  YAML::Node root = read_yaml(yaml, where);
  if (!root.IsMap()) throw UsageError(str(where, ": expected keys with values, as in dtype: auto"));
  TrainConfig config;
  drop_anchor_holders(root, config_keys());
  merge_keys(root, where);
  for (const std::string& text : overrides) override_key(root, text);
  // A file with experts is a MoE-LoRA's, as in the published ones, unless it says otherwise.
  if (has_experts(root)) config.mode = TrainMode::kMoeLora;
  Reader(config, where).walk(root, "");
  check(config, where);
  return config;
}

std::string effective_yaml(const TrainConfig& config) {
  TrainConfig copy = config;
  YAML::Node root(YAML::NodeType::Map);
  for (const ConfigKey& key : keys_of(copy)) assign(root, key.name, key.get());
  return str(YAML::Dump(root), "\n");
}

std::string config_lines(const TrainConfig& config) {
  TrainConfig copy = config;
  std::string lines;
  for (const ConfigKey& key : keys_of(copy)) {
    std::string value = YAML::Dump(key.get());
    std::replace(value.begin(), value.end(), '\n', ' ');
    lines += str(key.name, ": ", value, "\n");
  }
  return lines;
}

std::map<std::string, std::string> computing_settings(const TrainConfig& config) {
  TrainConfig copy = config;
  std::map<std::string, std::string> values;
  for (const ConfigKey& key : keys_of(copy))
    if (key.computes || (key.name == "train.max_steps" && config.lr_schedule == RateCurve::kCosine))
      values[key.name] = YAML::Dump(key.get());
  return values;
}

std::vector<std::string> config_keys() {
  TrainConfig config;
  std::vector<std::string> names;
  for (const ConfigKey& key : keys_of(config)) names.push_back(key.name);
  return names;
}

LoaderOptions loader_options(const TrainConfig& config, const EditDataset& dataset) {
  LoaderOptions options;
  options.batch_size = config.batch_size;
  options.workers = int(config.dataloader_workers);
  options.seed = uint64_t(config.seed);
  options.draws = config.draws;
  if (config.dataset.resize == ResizeMode::kBucket) {
    options.bucket_sizes = bucket_sizes(config.dataset.condition_size);
    options.buckets = assign_buckets(dataset, options.bucket_sizes);
  }
  return options;
}

}  // namespace icedit
