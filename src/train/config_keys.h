#pragma once
// The table of configuration keys: each is spelled once. For config.cpp alone.
#include <functional>
#include <string>
#include <vector>

#include "train/config.h"

namespace YAML {
class Node;
}  // namespace YAML

namespace icedit {

struct ConfigKey {
  std::string name;                            // "train.batch_size"
  std::function<void(const YAML::Node&)> set;  // throws UsageError, without the file
  std::function<YAML::Node()> get;
  bool computes = true;  // whether the numbers of a run depend on it
};

// Bound to `config`, which must outlive them.
std::vector<ConfigKey> keys_of(TrainConfig& config);

}  // namespace icedit
