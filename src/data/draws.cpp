#include "data/draws.h"

#include <stdexcept>

namespace icedit {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio

uint64_t mixed(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

}  // namespace

DrawStream::DrawStream(DrawPurpose purpose, const DrawKey& key)
    : state_(mixed(key.seed + kGolden)) {
  for (const uint64_t part :
       {uint64_t(purpose), uint64_t(key.epoch), uint64_t(key.index), uint64_t(key.slot)})
    state_ = mixed(state_ + kGolden + mixed(part + kGolden));
}

uint64_t DrawStream::next() {
  state_ += kGolden;
  return mixed(state_);
}

double DrawStream::random() {
  return double(next() >> 11) * 0x1p-53;
}

size_t DrawStream::choice(size_t n) {
  if (n == 0) throw std::logic_error("choice of nothing");
  const uint64_t rest =
      (UINT64_MAX % n + 1) % n;  // 2^64 mod n: that many numbers at the top are too many
  uint64_t draw = next();
  while (draw > UINT64_MAX - rest) draw = next();
  return size_t(draw % n);
}

uint64_t generator_seed(DrawPurpose purpose, const DrawKey& key) {
  return DrawStream(purpose, key).next();
}

}  // namespace icedit
