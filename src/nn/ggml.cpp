#include "nn/ggml.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/int4_rows.h"

namespace icedit {
namespace {

constexpr int64_t kGrain = 1 << 15;  // values a thread takes at least

// A block's bytes, read in their order.
class BlockBytes {
 public:
  explicit BlockBytes(const std::byte* at) : at_(reinterpret_cast<const uint8_t*>(at)) {}

  float half() {
    c10::Half value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return static_cast<float>(value);
  }
  const uint8_t* take(size_t bytes) {
    const uint8_t* here = at_;
    at_ += bytes;
    return here;
  }

 private:
  const uint8_t* at_;
};

int low(uint8_t byte) {
  return byte & 15;
}
int high(uint8_t byte) {
  return byte >> 4;
}
int two_bits(uint8_t byte, int shift) {
  return byte >> shift & 3;
}

void q8_0(BlockBytes b, float* to) {
  const float d = b.half();
  const uint8_t* q = b.take(32);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(static_cast<int8_t>(q[i]));
}

// 32 values of 4 bits, the first half in the low ones; with `fifth` a further bit each from a word;
// with `minimum` they begin there, else they lie around 0.
void four_or_five_bits(BlockBytes b, float* to, bool fifth, bool minimum) {
  const float d = b.half(), m = minimum ? b.half() : 0;
  uint32_t bits = 0;
  if (fifth) std::memcpy(&bits, b.take(4), 4);
  const int middle = minimum ? 0 : fifth ? 16 : 8;
  const uint8_t* q = b.take(16);
  for (int i = 0; i < 16; ++i) {
    const int first = low(q[i]) | static_cast<int>(bits >> i & 1) << 4;
    const int second = high(q[i]) | static_cast<int>(bits >> (i + 16) & 1) << 4;
    to[i] = static_cast<float>(first - middle) * d + m;
    to[i + 16] = static_cast<float>(second - middle) * d + m;
  }
}

// Of the K types: 256 values in groups with a scale each, which are multiples of the block's.
void q2_k(BlockBytes b, float* to) {
  const uint8_t* scales = b.take(16);
  const uint8_t* q = b.take(64);
  const float d = b.half(), least = b.half();
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(low(scales[group]));
    const float minimum = least * static_cast<float>(high(scales[group]));
    const uint8_t* from = q + group / 8 * 32 + group % 2 * 16;
    for (int i = 0; i < 16; ++i)
      *to++ = scale * static_cast<float>(two_bits(from[i], group / 2 % 4 * 2)) - minimum;
  }
}

void q3_k(BlockBytes b, float* to) {
  const uint8_t* high_bits = b.take(32);
  const uint8_t* q = b.take(64);
  const uint8_t* s = b.take(12);
  const float d = b.half();
  for (int group = 0; group < 16; ++group) {
    // 6 bits: the lower four in the first eight bytes, two by two; the upper two in the last four.
    const int lower = group < 8 ? low(s[group]) : high(s[group - 8]);
    const int scale6 = lower | two_bits(s[8 + group % 4], group / 4 * 2) << 4;
    const float scale = d * static_cast<float>(scale6 - 32);
    const int half = group % 2 * 16;
    const uint8_t* from = q + group / 8 * 32 + half;
    for (int i = 0; i < 16; ++i) {
      const int third = high_bits[half + i] >> (group / 2) & 1;
      *to++ = scale * static_cast<float>(two_bits(from[i], group / 2 % 4 * 2) - (third ? 0 : 4));
    }
  }
}

// Scale and minimum of the eight groups of Q4_K and Q5_K, 6 bits each in 12 bytes.
struct ScaleAndMinimum {
  float scale, minimum;
};
ScaleAndMinimum of_group(const uint8_t* s, int group, float d, float least) {
  int scale = s[group % 4] & 63, minimum = s[group % 4 + 4] & 63;
  if (group >= 4) {
    scale = low(s[group + 4]) | s[group - 4] >> 6 << 4;
    minimum = high(s[group + 4]) | s[group] >> 6 << 4;
  }
  return {d * static_cast<float>(scale), least * static_cast<float>(minimum)};
}

void q4_or_q5_k(BlockBytes b, float* to, bool fifth) {
  const float d = b.half(), least = b.half();
  const uint8_t* scales = b.take(12);
  const uint8_t* bits = fifth ? b.take(32) : nullptr;
  const uint8_t* q = b.take(128);
  for (int group = 0; group < 8; ++group) {
    const auto [scale, minimum] = of_group(scales, group, d, least);
    const uint8_t* from = q + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int four = group % 2 == 0 ? low(from[i]) : high(from[i]);
      const int value = fifth ? four | (bits[i] >> group & 1) << 4 : four;
      *to++ = scale * static_cast<float>(value) - minimum;
    }
  }
}

void q6_k(BlockBytes b, float* to) {
  const uint8_t* lower = b.take(128);
  const uint8_t* upper = b.take(64);
  const uint8_t* scales = b.take(16);
  const float d = b.half();
  for (int part = 0; part < 8; ++part) {  // 32 values each
    const int in_half = part % 4;
    const uint8_t* four = lower + part / 4 * 64 + in_half % 2 * 32;
    const uint8_t* two = upper + part / 4 * 32;
    for (int i = 0; i < 32; ++i) {
      const int bits = in_half < 2 ? low(four[i]) : high(four[i]);
      const int value = (bits | two_bits(two[i], 2 * in_half) << 4) - 32;
      const auto scale = static_cast<int8_t>(scales[part * 2 + i / 16]);
      *to++ = d * static_cast<float>(scale) * static_cast<float>(value);
    }
  }
}

void dequantise_block(Dtype dtype, const std::byte* from, float* to) {
  const BlockBytes b(from);
  switch (dtype) {
    case Dtype::kQ8_0:
      return q8_0(b, to);
    case Dtype::kQ4_0:
      return four_or_five_bits(b, to, false, false);
    case Dtype::kQ4_1:
      return four_or_five_bits(b, to, false, true);
    case Dtype::kQ5_0:
      return four_or_five_bits(b, to, true, false);
    case Dtype::kQ5_1:
      return four_or_five_bits(b, to, true, true);
    case Dtype::kQ2_K:
      return q2_k(b, to);
    case Dtype::kQ3_K:
      return q3_k(b, to);
    case Dtype::kQ4_K:
      return q4_or_q5_k(b, to, false);
    case Dtype::kQ5_K:
      return q4_or_q5_k(b, to, true);
    case Dtype::kQ6_K:
      return q6_k(b, to);
    default:
      throw CheckpointError(str("dtype ", dtype_name(dtype), " has no blocks"));
  }
}

void on_all_threads(Dtype dtype, const std::byte* from, int64_t values, float* to) {
  const int64_t size = dtype_block(dtype);
  at::parallel_for(0, values / size, std::max<int64_t>(1, kGrain / size),
                   [&](int64_t begin, int64_t end) {
                     dequantise(dtype, from + size_t(begin) * dtype_size(dtype),
                                (end - begin) * size, to + begin * size);
                   });
}

class GgmlMatrix : public RowMatrix {
 public:
  explicit GgmlMatrix(const Checkpoint::Entry& entry)
      : RowMatrix(entry.info.shape[0], entry.info.shape[1]), entry_(entry) {}

 private:
  Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const override {
    return wide_rows(first, count).to(dtype);
  }

  Tensor wide_rows(int64_t first, int64_t count) const {
    const int64_t half = entry_.info.shape[0] / 2, last = first + count;
    if (!entry_.swap_halves) return stored_rows(first, last);
    if (last <= half) return stored_rows(first + half, last + half);
    if (first >= half) return stored_rows(first - half, last - half);
    return at::cat({stored_rows(first + half, 2 * half), stored_rows(0, last - half)});
  }

  Tensor stored_rows(int64_t first, int64_t last) const {
    return dequantised(entry_.rows(first, last));
  }

  Checkpoint::Entry entry_;
};

// Q4_0 for products in 8 bits.
class Q4Matrix : public Int8Products {
 public:
  explicit Q4Matrix(const Checkpoint::Entry& entry)
      : Int8Products(entry.info.shape[0], entry.info.shape[1], /*group=*/0), entry_(entry) {}

 private:
  Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const override {
    return dequantised(entry_.rows(first, first + count)).to(dtype);
  }
  void multiply(const kernels::Int8Rows& x, const Tensor& bias, const Tensor& out,
                const kernels::LowRankTerms& terms) const override {
    std::call_once(once_, [&] {
      Checkpoint::Entry bytes = entry_;
      bytes.info.dtype = Dtype::kU8;
      bytes.info.shape = {outputs(), int64_t(entry_.info.bytes()) / outputs()};
      weight_.blocks = mapped_tensor(bytes);
      weight_.scales = kernels::q4_scales(weight_.blocks);
    });
    kernels::product(x, weight_, bias, out, terms);
  }

  Checkpoint::Entry entry_;
  mutable std::once_flag once_;
  mutable kernels::Q4Weight weight_;
};

}  // namespace

void dequantise(Dtype dtype, const std::byte* blocks, int64_t values, float* to) {
  const int64_t size = dtype_block(dtype);
  for (int64_t i = 0; i < values; i += size, blocks += dtype_size(dtype))
    dequantise_block(dtype, blocks, to + i);
}

Tensor dequantised(const Checkpoint::Entry& entry) {
  const Tensor values = at::empty(entry.info.shape, at::kFloat);
  const Bytes bytes = entry.bytes();
  const int64_t count = values.numel(), first = entry.swap_halves ? count / 2 : 0;
  const size_t first_bytes = entry.swap_halves ? bytes.size() / 2 : 0;
  float* to = values.mutable_data_ptr<float>();
  on_all_threads(entry.info.dtype, bytes.data() + first_bytes, count - first, to);
  on_all_threads(entry.info.dtype, bytes.data(), first, to + (count - first));
  return values;
}

MatrixPtr ggml_matrix(const Checkpoint::Entry& entry, bool in_8_bits) {
  if (in_8_bits && entry.info.dtype == Dtype::kQ4_0 && !entry.swap_halves)
    return std::make_shared<Q4Matrix>(entry);
  return std::make_shared<GgmlMatrix>(entry);
}

}  // namespace icedit
