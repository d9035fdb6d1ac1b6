#include "nn/low_rank.h"

#include <ATen/ATen.h>

#include "nn/int8_matrix.h"
#include "nn/kernels/bf16_product.h"

namespace icedit {
namespace {

// rows [K, in], rotated -> [2 K, in]: rounded to 8 bits, and what that leaves, in 8 bits again.
kernels::Int8Weight in_two_parts(const Tensor& rows, int64_t group) {
  const Tensor rest = rows.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  rotate_rows(rest, group);
  const Int8Values high = quantised_rows(rest, 0);
  const Int8Values low = quantised_rows(rest - high.values * high.scales.unsqueeze(1), 0);
  return kernels::packed(at::cat({high.values, low.values}), at::cat({high.scales, low.scales}));
}

// Columns of zeros up to a multiple of a tile's.
Tensor padded(const Tensor& rows) {
  const int64_t width = rows.size(1), whole = kernels::tiles_for(width, kernels::kTileHalves);
  return at::constant_pad_nd(rows, {0, whole * kernels::kTileHalves - width});
}

}  // namespace

template <class MakeDown>
const LowRankChange::Packed& LowRankChange::packed(const MakeDown& make_down) const {
  std::call_once(once_, [&] {
    const LowRankFactors made = factors_();
    make_down(made.down, packed_);
    packed_.count = made.down.size(0);
    packed_.up = kernels::right_tiles(padded(made.up));
  });
  return packed_;
}

kernels::LowRankTerm LowRankChange::term(const Tensor& low) const {
  const Tensor rows = padded(weigh_(low));
  kernels::LowRankTerm made{
      kernels::tiled({{rows.unsqueeze(0), kernels::Made::kNothing, {}, {}, 0}}), packed_.up, {}};
  if (rows.size(1) > kernels::kTileHalves) made.used = kernels::used_tiles(made.low);
  return made;
}

kernels::LowRankTerm LowRankChange::term(const kernels::Int8Rows& x, int64_t group) const {
  const Packed& p =
      packed([&](const Tensor& down, Packed& to) { to.parts = in_two_parts(down, group); });
  const Tensor both = at::empty({x.rows, 2 * p.count}, at::kFloat);
  kernels::product(x, p.parts, {}, both);
  return term(both.narrow(1, 0, p.count).add_(both.narrow(1, p.count, p.count)));
}

kernels::LowRankTerm LowRankChange::term(const kernels::Bf16Rows& x) const {
  const Packed& p =
      packed([](const Tensor& down, Packed& to) { to.down = kernels::right_tiles(down); });
  return term(kernels::product_by_rows(x, p.down).narrow(1, 0, p.count));
}

}  // namespace icedit
