#pragma once
// [rows, in] x [out, in]^T of whole numbers of 8 bits, summed in 32 bits, so that every kernel
// gives the same sums; scales, bias and the conversion to the result's dtype are part of the same
// pass. Which kernel: the fastest of those that the CPU has, by a short race when the first one is
// asked for.
#include <string>
#include <vector>

#include "nn/kernels/kernels.h"
#include "nn/kernels/low_rank_term.h"

namespace icedit::kernels {

// A matrix [out, in] of -127 to 127, and a factor for each row.
struct Int8Weight {
  Tensor tiles;   // int8: 16 outputs x 64 inputs, [in / 4][out][4] within; those of 16 outputs in
                  // order of their inputs. Padded with zeros to 64 inputs, with anything to 32
                  // outputs.
  Tensor scales;  // f32 [out, padded]
  Tensor sums;    // int32 [out, padded]: 128 times the sum of a row, since x is stored + 128
  int64_t out = 0, in = 0;
};

// With room for so many rows, which are to be written.
Int8Weight empty_weight(int64_t out, int64_t in);
// values int8 [out, in], rows dense, `in` a multiple of 16; scales f32 [out].
Int8Weight packed(const Tensor& values, const Tensor& scales);

// Rows [first, first + count) times their factors, each run of `group` inputs rotated (back: it is
// its own inverse), in f32 or from that in bf16: [count, in].
Tensor unpacked(const Int8Weight& weight, int64_t first, int64_t count, int64_t group,
                at::ScalarType dtype);

// x w^T scaled, + bias [out] in `out`'s dtype where there is one. out [rows, out] f32 or bf16, rows
// dense. terms: added before it is rounded; none where adds_low_rank() is false.
void product(const Int8Rows& x, const Int8Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms = {});
bool adds_low_rank();

// The kernels that this CPU can run, for tests and benchmarks; the fastest first.
struct Int8Kernel {
  std::string name;  // "amx", "vnni" or "f32"
  bool adds_low_rank;
  void (*product)(const Int8Rows&, const Int8Weight&, const Tensor& bias, const Tensor& out,
                  const LowRankTerms& terms);
};
const std::vector<Int8Kernel>& int8_kernels();

}  // namespace icedit::kernels
