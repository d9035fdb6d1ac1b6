#pragma once
#include <array>

namespace icedit {

// The symmetric matrix of its upper triangle xx xy xz yy yz zz, inverted; all nine, row by row.
inline std::array<double, 9> inverse(const std::array<double, 6>& upper) {
  const auto [xx, xy, xz, yy, yz, zz] = upper;
  const double i0 = yy * zz - yz * yz, i1 = xz * yz - xy * zz, i2 = xy * yz - xz * yy;
  const double i3 = xx * zz - xz * xz, i4 = xy * xz - xx * yz, i5 = xx * yy - xy * xy;
  const double s = 1 / (xx * i0 + xy * i1 + xz * i2);
  return {i0 * s, i1 * s, i2 * s, i1 * s, i3 * s, i4 * s, i2 * s, i4 * s, i5 * s};
}

}  // namespace icedit
