#include "random_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace icedit::tools {
namespace {

constexpr size_t kQuantiles = size_t{1} << 16;  // 16 random bits pick a value

// Each quantile by Newton's method from the one before it; the lower half mirrors the upper.
std::vector<double> normal_quantiles() {
  std::vector<double> values(kQuantiles);
  double x = 0;
  for (size_t i = kQuantiles / 2; i < kQuantiles; ++i) {
    const double upper = 1 - (static_cast<double>(i) + 0.5) / kQuantiles;
    for (int turn = 0; turn < 6; ++turn) {
      const double tail = 0.5 * std::erfc(x / std::numbers::sqrt2);
      const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
      x += (tail - upper) / density;
    }
    values[i] = x;
    values[kQuantiles - 1 - i] = -x;
  }
  return values;
}

// splitmix64; also mixes names and seeds.
uint64_t next(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t mixed(uint64_t seed, std::string_view name) {
  uint64_t state = seed;
  for (const char c : name) state = next(state) ^ static_cast<unsigned char>(c);
  return next(state);
}

uint16_t bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
uint16_t f16(float value) {
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
}

template <class T, class Convert>
void put_values(const std::vector<double>& quantiles, uint64_t state, uint64_t count, double mean,
                double deviation, const Convert& convert, const PutBytes& put) {
  std::vector<T> table(kQuantiles);
  std::transform(quantiles.begin(), quantiles.end(), table.begin(),
                 [&](double q) { return convert(static_cast<float>(mean + deviation * q)); });
  std::vector<T> chunk(std::min(count, uint64_t{1} << 18));
  for (uint64_t done = 0; done < count; done += chunk.size()) {
    chunk.resize(std::min<uint64_t>(chunk.size(), count - done));
    uint64_t bits = 0;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (i % 4 == 0) bits = next(state);
      chunk[i] = table[bits & 0xffff];
      bits >>= 16;
    }
    put(std::as_bytes(std::span(chunk)));
  }
}

}  // namespace

RandomValues::RandomValues(Dtype dtype, uint64_t seed)
    : dtype_(dtype), seed_(seed), quantiles_(normal_quantiles()) {
  if (dtype != Dtype::kBF16 && dtype != Dtype::kF16 && dtype != Dtype::kF32)
    throw UsageError(str("random values of ", dtype_name(dtype), ": expected BF16, F16 or F32"));
}

void RandomValues::put(std::string_view name, uint64_t count, double mean, double deviation,
                       const PutBytes& put) const {
  const uint64_t state = mixed(seed_, name);
  if (dtype_ == Dtype::kF32) {
    const auto same = [](float value) { return value; };
    put_values<float>(quantiles_, state, count, mean, deviation, same, put);
  } else {
    const auto convert = dtype_ == Dtype::kBF16 ? bf16 : f16;
    put_values<uint16_t>(quantiles_, state, count, mean, deviation, convert, put);
  }
}

}  // namespace icedit::tools
