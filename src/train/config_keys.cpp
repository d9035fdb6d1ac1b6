#include "train/config_keys.h"

#include <yaml-cpp/yaml.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/home.h"
#include "train/yaml.h"

namespace icedit {
namespace {

using Node = YAML::Node;
constexpr int64_t kMany = int64_t{1} << 40;

[[noreturn]] void wrong(const std::string& name, const Node& node, const std::string& expected) {
  const std::string got = node.IsScalar() ? str("'", node.Scalar(), "'")
                          : node.IsNull() ? "nothing"
                          : node.IsMap()  ? "a group of keys"
                                          : "a list";
  throw UsageError(str(name, " is ", got, ", expected ", expected));
}

template <class T>
T scalar(const std::string& name, const Node& node, const std::string& expected) {
  T value{};
  if (!node.IsScalar() || !YAML::convert<T>::decode(node, value)) wrong(name, node, expected);
  return value;
}

std::string text_of(const std::string& name, const Node& n) {
  if (is_plain_truth(n))
    wrong(name, n, "a text; in YAML this word without quotes is true or false");
  return scalar<std::string>(name, n, "a text");
}

// So that it is read back as a text.
Node text_node(const std::string& text) {
  Node n(text);
  if (truth(n)) n.SetTag("tag:yaml.org,2002:str");
  return n;
}

ConfigKey text(const std::string& name, std::string& value, bool computes = true) {
  const auto set = [name, &value](const Node& n) { value = n.IsNull() ? "" : text_of(name, n); };
  return {name, set, [&value] { return text_node(value); }, computes};
}

ConfigKey path(const std::string& name, std::string& value, bool computes = true) {
  ConfigKey key = text(name, value, computes);
  key.set = [plain = key.set, &value](const Node& n) {
    plain(n);
    value = expand_home(value);
  };
  return key;
}

ConfigKey choice(const std::string& name, std::string& value,
                 const std::vector<std::string>& choices) {
  const auto set = [name, &value, choices](const Node& n) {
    if (const auto flag = truth(n))
      value = *flag ? "true" : "false";
    else
      value = scalar<std::string>(name, n, str("one of ", choices));
    for (const auto& one : choices)
      if (one == value) return;
    wrong(name, n, str("one of ", choices));
  };
  return {name, set, [&value] { return Node(value); }};
}

template <class T>
ConfigKey integer(const std::string& name, T& value, int64_t least, int64_t most,
                  bool computes = true) {
  const auto set = [name, &value, least, most](const Node& n) {
    const std::string expected = str(
        "a whole number ", most == kMany ? str("of at least ", least) : str(least, " to ", most));
    const auto read = scalar<int64_t>(name, n, expected);
    if (read < least || read > most) wrong(name, n, expected);
    value = T(read);
  };
  return {name, set, [&value] { return Node(int64_t(value)); }, computes};
}

ConfigKey number(const std::string& name, double& value, double least, double most,
                 bool computes = true) {
  const auto set = [name, &value, least, most](const Node& n) {
    const std::string expected = str("a number from ", least, " to ", most);
    value = scalar<double>(name, n, expected);
    if (!(value >= least && value <= most)) wrong(name, n, expected);
  };
  return {name, set, [&value] { return Node(value); }, computes};
}

ConfigKey flag(const std::string& name, bool& value, bool computes = true) {
  const auto set = [name, &value](const Node& n) {
    const auto given = truth(n);
    if (!given) wrong(name, n, "true or false");
    value = *given;
  };
  return {name, set, [&value] { return Node(value); }, computes};
}

// A text or a list of texts.
ConfigKey texts(const std::string& name, std::vector<std::string>& value, bool computes = true) {
  const auto set = [name, &value](const Node& n) {
    value.clear();
    if (n.IsScalar()) value.push_back(text_of(name, n));
    if (n.IsMap()) wrong(name, n, "a text or a list of texts");
    for (size_t i = 0; n.IsSequence() && i < n.size(); ++i) value.push_back(text_of(name, n[i]));
  };
  const auto get = [&value] {
    if (value.size() == 1) return text_node(value[0]);
    Node list(YAML::NodeType::Sequence);
    for (const std::string& one : value) list.push_back(text_node(one));
    return list;
  };
  return {name, set, get, computes};
}

ConfigKey paths(const std::string& name, std::vector<std::string>& value, bool computes = true) {
  ConfigKey key = texts(name, value, computes);
  key.set = [plain = key.set, &value](const Node& n) {
    plain(n);
    for (std::string& one : value) one = expand_home(one);
  };
  return key;
}

// As peft has it, a text is an expression, and a list of one text is no text.
ConfigKey targets(const std::string& name, std::vector<std::string>& value, bool& is_list) {
  const ConfigKey plain = texts(name, value);
  const auto set = [plain, &is_list](const Node& n) {
    plain.set(n);
    is_list = n.IsSequence();
  };
  const auto get = [plain, &value, &is_list] { return is_list ? Node(value) : plain.get(); };
  return {name, set, get};
}

template <class T>
ConfigKey named(const std::string& name, T& value, std::vector<std::pair<std::string, T>> choices) {
  const auto set = [name, &value, choices](const Node& n) {
    std::vector<std::string> names;
    for (const auto& [text, one] : choices) {
      if (n.IsScalar() && n.Scalar() == text) {
        value = one;
        return;
      }
      names.push_back(text);
    }
    wrong(name, n, str("one of ", names));
  };
  const auto get = [&value, choices] {
    for (const auto& [text, one] : choices)
      if (one == value) return Node(text);
    return Node();
  };
  return {name, set, get};
}

ConfigKey crop(const std::string& name, std::optional<bool>& value) {
  const auto set = [name, &value](const Node& n) {
    value = truth(n);
    if (!value && !n.IsNull()) wrong(name, n, "true, false or null");
  };
  return {name, set, [&value] { return value ? Node(*value) : Node(YAML::NodeType::Null); }};
}

Setting setting(const std::string& name, const Node& n) {
  double value = 0;
  if (n.IsNull()) return std::monostate();
  if (const auto flag = truth(n)) return *flag;
  if (n.IsScalar() && YAML::convert<double>::decode(n, value)) return value;
  if (!n.IsSequence()) wrong(name, n, "a number, true or false, or a list of numbers");
  std::vector<double> values;
  for (size_t i = 0; i < n.size(); ++i) values.push_back(scalar<double>(name, n[i], "a number"));
  return values;
}

ConfigKey params(const std::string& name, std::map<std::string, Setting>& value) {
  const auto set = [name, &value](const Node& n) {
    value.clear();
    if (n.IsNull()) return;
    if (!n.IsMap()) wrong(name, n, "keys with values, as in lr: 1");
    for (const auto& entry : n) {
      const auto key = entry.first.as<std::string>("");
      value[key] = setting(name + "." + key, entry.second);
    }
  };
  const auto get = [&value] {
    Node n(YAML::NodeType::Map);
    for (const auto& [key, one] : value) {
      if (const auto* truth = std::get_if<bool>(&one)) n[key] = *truth;
      if (const auto* figure = std::get_if<double>(&one)) n[key] = *figure;
      if (const auto* list = std::get_if<std::vector<double>>(&one)) n[key] = *list;
    }
    return n;
  };
  return {name, set, get};
}

std::vector<ConfigKey> dataset_keys(DatasetConfig& d) {
  const std::string at = "train.dataset.";
  return {named<DatasetType>(at + "type", d.type,
                             {{"edit", DatasetType::kEdit},
                              {"omini", DatasetType::kOmini},
                              {"edit_with_omini", DatasetType::kEditWithOmini},
                              {"edit_mask", DatasetType::kEditMask},
                              {"folder", DatasetType::kFolder}}),
          paths(at + "path", d.path),
          paths(at + "magicbrush_path", d.magicbrush_path),
          text(at + "split", d.split),
          integer(at + "condition_size", d.condition_size, 16, 8192),
          integer(at + "target_size", d.target_size, 16, 8192),
          number(at + "drop_text_prob", d.drop_text_prob, 0, 1),
          texts(at + "specific_task", d.specific_task),
          crop(at + "crop_the_noise", d.crop_the_noise),
          named<ResizeMode>(at + "resize", d.resize,
                            {{"squash", ResizeMode::kSquash}, {"bucket", ResizeMode::kBucket}})};
}

std::vector<ConfigKey> lora_keys(LoraConfig& l) {
  const std::string at = "train.lora_config.";
  return {integer(at + "r", l.r, 1, 65536),
          number(at + "lora_alpha", l.lora_alpha, 1e-6, 1e9),
          choice(at + "init_lora_weights", l.init_lora_weights, {"gaussian", "true"}),
          targets(at + "target_modules", l.target_modules, l.target_list),
          integer(at + "num_experts", l.num_experts, 1, 4096),
          integer(at + "expert_rank", l.expert_rank, 1, 65536),
          number(at + "expert_alpha", l.expert_alpha, 1e-6, 1e9),
          integer(at + "top_k", l.top_k, 1, 4096),
          texts(at + "expert_modules", l.expert_modules),
          number(at + "balance_loss", l.balance_loss, 0, 1e6)};
}

std::vector<ConfigKey> run_keys(TrainConfig& c) {
  const std::string at = "train.";
  return {integer(at + "batch_size", c.batch_size, 1, 65536),
          integer(at + "accumulate_grad_batches", c.accumulate_grad_batches, 1, 1 << 20),
          integer(at + "dataloader_workers", c.dataloader_workers, 0, 1000, false),
          integer(at + "save_interval", c.save_interval, 0, kMany, false),
          integer(at + "sample_interval", c.sample_interval, 0, kMany, false),
          paths(at + "sample_data", c.sample_data, false),
          integer(at + "sample_pairs", c.sample_pairs, 1, 64, false),
          integer(at + "sample_steps", c.sample_steps, 0, 1000, false),
          number(at + "sample_guidance", c.sample_guidance, 0, 1000, false),
          integer(at + "max_steps", c.max_steps, -1, kMany, false),
          integer(at + "keep_checkpoints", c.keep_checkpoints, 0, 1 << 20, false),
          number(at + "gradient_clip_val", c.gradient_clip_val, 0, 1e12),
          flag(at + "gradient_checkpointing", c.gradient_checkpointing, false),
          path(at + "save_path", c.save_path, false),
          integer(at + "seed", c.seed, 0, kMany),
          named<DrawMode>(at + "draws", c.draws,
                          {{"keyed", DrawMode::kKeyed}, {"reference", DrawMode::kReference}}),
          choice(at + "timestep_sampling", c.timestep_sampling,
                 {"logit_normal", "uniform", "flux_shift", "mode"}),
          named<LossTokens>(at + "loss", c.loss,
                            {{"all", LossTokens::kAll},
                             {"right_half", LossTokens::kRightHalf},
                             {"changed", LossTokens::kChanged}}),
          flag(at + "use_offset_noise", c.use_offset_noise),
          number(at + "ema_decay", c.ema_decay, 0, 0.9999999),
          flag(at + "cache", c.cache, false),
          path(at + "cache_dir", c.cache_dir, false),
          integer(at + "max_sequence_length", c.max_sequence_length, 0, 512),
          integer(at + "max_bad_rows", c.max_bad_rows, 0, kMany, false),
          integer(at + "max_bad_steps", c.max_bad_steps, 1, kMany, false),
          flag(at + "check_memory", c.check_memory, false)};
}

void append(std::vector<ConfigKey>& to, std::vector<ConfigKey> more) {
  for (ConfigKey& key : more) to.push_back(std::move(key));
}

}  // namespace

std::vector<ConfigKey> keys_of(TrainConfig& c) {
  std::vector<ConfigKey> keys = {path("flux_path", c.flux_path),
                                 choice("dtype", c.dtype, {"bfloat16", "float32", "auto"}),
                                 named<TrainMode>("train.mode", c.mode,
                                                  {{"lora", TrainMode::kLora},
                                                   {"moe_lora", TrainMode::kMoeLora},
                                                   {"full", TrainMode::kFull}}),
                                 path("train.init_lora", c.init_lora, false)};
  append(keys, run_keys(c));
  append(keys, dataset_keys(c.dataset));
  append(keys, lora_keys(c.lora));
  append(keys, {choice("train.optimizer.type", c.optimizer.type, {"Prodigy", "AdamW", "SGD"}),
                params("train.optimizer.params", c.optimizer.params),
                choice("train.lr_schedule", c.lr_schedule, {"constant", "cosine"}),
                integer("train.warmup_steps", c.warmup_steps, 0, kMany)});
  return keys;
}

}  // namespace icedit
