#include "models/config_values.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace icedit {

void throw_config_error(const JsonFile& config, const std::string& key, const std::string& value,
                        const std::string& expected) {
  throw CheckpointError(str(config.where(), ": '", key, "' is ", value, ", expected ", expected));
}

void expect_kind(const JsonFile& config, const std::string& key,
                 const std::vector<std::string>& known) {
  const std::string kind = config.text_or(key, known.front());
  if (std::find(known.begin(), known.end(), kind) != known.end()) return;
  throw_config_error(config, key, kind, known.front() + ": this is another kind of model");
}

int64_t up_to(const JsonFile& config, const std::string& key, int64_t fallback, int64_t most) {
  const int64_t value = config.integer_or(key, fallback);
  if (value < 1 || value > most) throw_config_error(config, key, str(value), str("1 to ", most));
  return value;
}

int64_t positive(const JsonFile& config, const std::string& key) {
  constexpr int64_t kMost = int64_t{1} << 24;
  const int64_t value = config.integer(key);
  if (value < 1 || value > kMost) throw_config_error(config, key, str(value), str("1 ... ", kMost));
  return value;
}

int64_t positive_or(const JsonFile& config, const std::string& key, int64_t fallback) {
  return config.has(key) ? positive(config, key) : fallback;
}

double positive_number_or(const JsonFile& config, const std::string& key, double fallback) {
  const double value = config.number_or(key, fallback);
  if (!(value > 0) || !std::isfinite(value))
    throw_config_error(config, key, str(value), "a number above 0");
  return value;
}

}  // namespace icedit
