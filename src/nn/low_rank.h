#pragma once
// A change of low rank to a Linear's output, as products add it in the pass that writes y:
// y + weighed(x down^T) up^T. Without it y is read and written once more, and x made once more.
#include <functional>
#include <mutex>
#include <vector>

#include "base/tensor.h"
#include "nn/kernels/int8_product.h"

namespace icedit {

struct LowRankFactors {
  Tensor down;  // [K, in]
  Tensor up;    // [out, R]
};

// Both factors are kept in the form that products read, made at the first use. Threads may share
// one.
class LowRankChange {
 public:
  // low f32 [tokens, K], which may be written to -> [tokens, R].
  using Weigh = std::function<Tensor(const Tensor& low)>;

  LowRankChange(std::function<LowRankFactors()> factors, Weigh weigh)
      : factors_(std::move(factors)), weigh_(std::move(weigh)) {}

  // Of inputs in 8 bits, rotated in groups of `group`. `down` is held in two parts of 8 bits each,
  // so that what is rounded is x alone, as it is for the base.
  kernels::LowRankTerm term(const kernels::Int8Rows& x, int64_t group) const;
  kernels::LowRankTerm term(const kernels::Bf16Rows& x) const;

 private:
  struct Packed {
    kernels::Int8Weight parts;  // of x in 8 bits: [2 K, in]
    Tensor down;                // of x in bf16: right_tiles
    int64_t count = 0;          // K
    Tensor up;                  // right_tiles
  };
  template <class MakeDown>
  const Packed& packed(const MakeDown& make_down) const;
  kernels::LowRankTerm term(const Tensor& low) const;

  std::function<LowRankFactors()> factors_;
  Weigh weigh_;
  mutable std::once_flag once_;
  mutable Packed packed_;
};

using LowRankChanges = std::vector<const LowRankChange*>;

}  // namespace icedit
