#include "data/python_random.h"

#include <bit>

#include "base/error.h"

namespace icedit {
namespace {

constexpr uint32_t kUpper = 0x80000000, kLower = 0x7fffffff, kTwist = 0x9908b0df;
constexpr size_t kMiddle = 397;

}  // namespace

// Python hands the seed over as an array of 32-bit words, so init_by_array it is, even for one
// word.
PythonRandom::PythonRandom(uint64_t seed) {
  std::vector<uint32_t> key = {uint32_t(seed)};
  if (seed >> 32) key.push_back(uint32_t(seed >> 32));

  words_[0] = 19650218;
  for (size_t i = 1; i < kWords; ++i)
    words_[i] = 1812433253u * (words_[i - 1] ^ words_[i - 1] >> 30) + uint32_t(i);
  size_t i = 1, j = 0;
  const auto advance = [&] {
    if (++i < kWords) return;
    words_[0] = words_[kWords - 1];
    i = 1;
  };
  for (size_t k = 0; k < kWords; ++k) {
    words_[i] =
        (words_[i] ^ (words_[i - 1] ^ words_[i - 1] >> 30) * 1664525u) + key[j] + uint32_t(j);
    advance();
    j = (j + 1) % key.size();
  }
  for (size_t k = 0; k < kWords - 1; ++k) {
    words_[i] = (words_[i] ^ (words_[i - 1] ^ words_[i - 1] >> 30) * 1566083941u) - uint32_t(i);
    advance();
  }
  words_[0] = kUpper;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t y = (words_[i] & kUpper) | (words_[(i + 1) % kWords] & kLower);
    words_[i] = words_[(i + kMiddle) % kWords] ^ y >> 1 ^ (y & 1 ? kTwist : 0);
  }
  next_ = 0;
}

uint32_t PythonRandom::word() {
  if (next_ >= kWords) refill();
  uint32_t y = words_[next_++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680;
  y ^= y << 15 & 0xefc60000;
  return y ^ y >> 18;
}

uint32_t PythonRandom::bits(int count) {
  return word() >> (32 - count);
}

double PythonRandom::random() {
  const uint32_t high = word() >> 5, low = word() >> 6;  // 27 and 26 bits
  return (high * 67108864.0 + low) * (1.0 / 9007199254740992.0);
}

// As many bits as n has, again until they are below n: even a list of one costs draws.
size_t PythonRandom::choice(size_t n) {
  if (n == 0 || n > UINT32_MAX) throw std::logic_error("choice of nothing, or of too much");
  const int count = std::bit_width(n);
  uint32_t pick = bits(count);
  while (pick >= n) pick = bits(count);
  return pick;
}

std::vector<int64_t> PythonRandom::state() const {
  std::vector<int64_t> state(words_.begin(), words_.end());
  state.push_back(int64_t(next_));
  return state;
}

void PythonRandom::set_state(const std::vector<int64_t>& state) {
  const bool good =
      state.size() == kWords + 1 && state.back() >= 0 && state.back() <= int64_t(kWords);
  if (!good)
    throw CheckpointError(str("the state of the data's random draws has ", state.size(),
                              " numbers, expected ", kWords + 1));
  for (size_t i = 0; i < kWords; ++i) words_[i] = uint32_t(state[i]);
  next_ = size_t(state.back());
}

}  // namespace icedit
