#pragma once
// Python's random module: MT19937 seeded by an integer, random.random and random.choice.
// Sources: M. Matsumoto's mt19937ar.c (2002) for the generator; CPython's Modules/_randommodule.c
// and Lib/random.py for how seeds and draws use it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace icedit {

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);  // random.seed(seed)

  double random();          // [0, 1), 53 bits
  size_t choice(size_t n);  // the index that random.choice takes of n things; n > 0

  // The words and the place among them, to go on later. Throws CheckpointError for what is no
  // state.
  std::vector<int64_t> state() const;
  void set_state(const std::vector<int64_t>& state);

 private:
  static constexpr size_t kWords = 624;
  uint32_t word();
  uint32_t bits(int count);  // 1 to 32
  void refill();

  std::array<uint32_t, kWords> words_;
  size_t next_ = kWords;
};

}  // namespace icedit
