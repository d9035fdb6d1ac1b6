#include "train/config_keys.h"

#include <yaml-cpp/yaml.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/setting.h"
#include "train/yaml.h"

namespace icedit {
namespace {

using Node = YAML::Node;
constexpr int64_t kMany = int64_t{1} << 40;

// A key's value as settings take it (base/setting.h).
Given given(const std::string& name, const Node& node) {
  if (node.IsNull()) return {name, "", Given::Kind::kNothing};
  if (is_plain_truth(node)) return {name, *truth(node) ? "true" : "false", Given::Kind::kTruth};
  if (node.IsScalar()) return {name, node.Scalar()};
  if (node.IsMap()) return {name, "a group of keys", Given::Kind::kGroup};
  Given list{name, "a list", Given::Kind::kList};
  for (size_t i = 0; i < node.size(); ++i) {
    if (is_plain_truth(node[i])) return given(name, node[i]);  // which no list is made of
    if (!node[i].IsScalar()) return {name, "a list", Given::Kind::kGroup};  // of more than texts
    list.list.push_back(node[i].Scalar());
  }
  return list;
}

// So that it is read back as a text.
Node text_node(const std::string& text) {
  Node n(text);
  if (truth(n)) n.SetTag("tag:yaml.org,2002:str");
  return n;
}

Node texts_node(const std::vector<std::string>& texts) {
  Node list(YAML::NodeType::Sequence);
  for (const std::string& one : texts) list.push_back(text_node(one));
  return list;
}

// One text is written as such.
Node node_of(const SettingValue& value) {
  return std::visit(
      [](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>)
          return Node(YAML::NodeType::Null);
        else if constexpr (std::is_same_v<T, std::string>)
          return text_node(v);
        else if constexpr (std::is_same_v<T, std::vector<std::string>>)
          return v.size() == 1 ? text_node(v[0]) : texts_node(v);
        else
          return Node(v);
      },
      value);
}

ConfigKey key_of(const Setting& setting, bool computes) {
  return {setting.name, [=](const Node& n) { setting.set(given(setting.name, n)); },
          [=] { return node_of(setting.variable.get()); }, computes};
}

ConfigKey key(const std::string& name, const Variable& variable, bool computes = true) {
  return key_of({name, "VALUE", "", "", variable}, computes);
}

ConfigKey path(const std::string& name, const Variable& variable, bool computes = true) {
  return key_of({name, "PATH", "", "", variable}, computes);
}

// YAML's own names of true and false, and no others.
Variable flag(bool& value) {
  return {[&value](const Given& given) {
            if (given.kind != Given::Kind::kTruth) throw_value_error(given, "true or false");
            value = given.text == "true";
          },
          [&value]() -> SettingValue { return value; }};
}

Variable one_of(std::string& value, const std::vector<std::string>& names) {
  Choices<std::string> choices;
  for (const std::string& name : names) choices.emplace_back(name, name);
  return choice(value, choices);
}

// As peft has it, a text is an expression, and a list of one text is no text.
ConfigKey targets(const std::string& name, std::vector<std::string>& value, bool& is_list) {
  const ConfigKey plain = key(name, into(value));
  const auto set = [plain, &is_list](const Node& n) {
    plain.set(n);
    is_list = n.IsSequence();
  };
  const auto get = [plain, &value, &is_list] { return is_list ? texts_node(value) : plain.get(); };
  return {name, set, get};
}

Variable crop(std::optional<bool>& value) {
  return {[&value](const Given& given) {
            value.reset();
            if (given.kind == Given::Kind::kTruth)
              value = given.text == "true";
            else if (given.kind != Given::Kind::kNothing)
              throw_value_error(given, "true, false or null");
          },
          [&value] { return value ? SettingValue(*value) : SettingValue(); }};
}

OptimizerParam param(const std::string& name, const Node& n) {
  double value = 0;
  if (n.IsNull()) return std::monostate();
  if (const auto flag = truth(n)) return *flag;
  if (n.IsScalar() && YAML::convert<double>::decode(n, value)) return value;
  if (!n.IsSequence())
    throw_value_error(given(name, n), "a number, true or false, or a list of numbers");
  std::vector<double> values;
  for (size_t i = 0; i < n.size(); ++i) {
    if (!n[i].IsScalar() || !YAML::convert<double>::decode(n[i], value))
      throw_value_error(given(name, n[i]), "a number");
    values.push_back(value);
  }
  return values;
}

ConfigKey params(const std::string& name, std::map<std::string, OptimizerParam>& value) {
  const auto set = [name, &value](const Node& n) {
    value.clear();
    if (n.IsNull()) return;
    if (!n.IsMap()) throw_value_error(given(name, n), "keys with values, as in lr: 1");
    for (const auto& entry : n) {
      const auto key = entry.first.as<std::string>("");
      value[key] = param(name + "." + key, entry.second);
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
  return {key(at + "type", choice(d.type, kDatasetTypes)),
          path(at + "path", into(d.path)),
          path(at + "magicbrush_path", into(d.magicbrush_path)),
          key(at + "split", into(d.split)),
          key(at + "condition_size", integer(d.condition_size, 16, 8192)),
          key(at + "target_size", integer(d.target_size, 16, 8192)),
          key(at + "drop_text_prob", number(d.drop_text_prob, 0, 1)),
          key(at + "specific_task", into(d.specific_task)),
          key(at + "crop_the_noise", crop(d.crop_the_noise)),
          key(at + "resize", choice(d.resize, kResizeModes))};
}

std::vector<ConfigKey> lora_keys(LoraConfig& l) {
  const std::string at = "train.lora_config.";
  return {key(at + "r", integer(l.r, 1, 65536)),
          key(at + "lora_alpha", number(l.lora_alpha, 1e-6, 1e9)),
          key(at + "init_lora_weights", one_of(l.init_lora_weights, {"gaussian", "true"})),
          targets(at + "target_modules", l.target_modules, l.target_list),
          key(at + "num_experts", integer(l.num_experts, 1, 4096)),
          key(at + "expert_rank", integer(l.expert_rank, 1, 65536)),
          key(at + "expert_alpha", number(l.expert_alpha, 1e-6, 1e9)),
          key(at + "top_k", integer(l.top_k, 1, 4096)),
          key(at + "expert_modules", into(l.expert_modules)),
          key(at + "balance_loss", number(l.balance_loss, 0, 1e6))};
}

std::vector<ConfigKey> run_keys(TrainConfig& c) {
  const std::string at = "train.";
  return {key(at + "batch_size", integer(c.batch_size, 1, 65536)),
          key(at + "accumulate_grad_batches", integer(c.accumulate_grad_batches, 1, 1 << 20)),
          key(at + "dataloader_workers", integer(c.dataloader_workers, 0, 1000), false),
          key(at + "save_interval", integer(c.save_interval, 0, kMany), false),
          key(at + "sample_interval", integer(c.sample_interval, 0, kMany), false),
          path(at + "sample_data", into(c.sample_data), false),
          key(at + "sample_pairs", integer(c.sample_pairs, 1, 64), false),
          key(at + "sample_steps", integer(c.sample_steps, 0, 1000), false),
          key(at + "sample_guidance", number(c.sample_guidance, 0, 1000), false),
          key(at + "max_steps", integer(c.max_steps, -1, kMany), false),
          key(at + "keep_checkpoints", integer(c.keep_checkpoints, 0, 1 << 20), false),
          key(at + "gradient_clip_val", number(c.gradient_clip_val, 0, 1e12)),
          key(at + "gradient_checkpointing", flag(c.gradient_checkpointing), false),
          path(at + "save_path", into(c.save_path), false),
          key(at + "seed", integer(c.seed, 0, kMany)),
          key(at + "draws", choice<DrawMode>(c.draws, {{"keyed", DrawMode::kKeyed},
                                                       {"reference", DrawMode::kReference}})),
          key(at + "timestep_sampling",
              choice<TimestepSampling>(c.timestep_sampling,
                                       {{"logit_normal", TimestepSampling::kLogitNormal},
                                        {"uniform", TimestepSampling::kUniform},
                                        {"flux_shift", TimestepSampling::kFluxShift},
                                        {"mode", TimestepSampling::kMode}})),
          key(at + "loss", choice<LossTokens>(c.loss, {{"all", LossTokens::kAll},
                                                       {"right_half", LossTokens::kRightHalf},
                                                       {"changed", LossTokens::kChanged}})),
          key(at + "use_offset_noise", flag(c.use_offset_noise)),
          key(at + "ema_decay", number(c.ema_decay, 0, 0.9999999)),
          key(at + "cache", flag(c.cache), false),
          path(at + "cache_dir", into(c.cache_dir), false),
          key(at + "max_sequence_length", integer(c.max_sequence_length, 0, 512)),
          key(at + "max_bad_rows", integer(c.max_bad_rows, 0, kMany), false),
          key(at + "max_bad_steps", integer(c.max_bad_steps, 1, kMany), false),
          key(at + "check_memory", flag(c.check_memory), false)};
}

void append(std::vector<ConfigKey>& to, std::vector<ConfigKey> more) {
  for (ConfigKey& key : more) to.push_back(std::move(key));
}

}  // namespace

std::vector<ConfigKey> keys_of(TrainConfig& c) {
  std::vector<ConfigKey> keys = {
      path("flux_path", into(c.flux_path)),
      key("dtype", choice<DtypeChoice>(c.dtype, {{"bfloat16", DtypeChoice::kBF16},
                                                 {"float32", DtypeChoice::kF32},
                                                 {"auto", DtypeChoice::kAuto}})),
      key("train.mode", choice<TrainMode>(c.mode, {{"lora", TrainMode::kLora},
                                                   {"moe_lora", TrainMode::kMoeLora},
                                                   {"full", TrainMode::kFull}})),
      path("train.init_lora", into(c.init_lora), false),
      key("train.base_quant", choice(c.base_quant, quants()))};
  append(keys, run_keys(c));
  append(keys, dataset_keys(c.dataset));
  append(keys, lora_keys(c.lora));
  append(keys, {key("train.optimizer.type", one_of(c.optimizer.type, {"Prodigy", "AdamW", "SGD"})),
                params("train.optimizer.params", c.optimizer.params),
                key("train.lr_schedule",
                    choice<RateCurve>(c.lr_schedule, {{"constant", RateCurve::kConstant},
                                                      {"cosine", RateCurve::kCosine}})),
                key("train.warmup_steps", integer(c.warmup_steps, 0, kMany))});
  return keys;
}

}  // namespace icedit
