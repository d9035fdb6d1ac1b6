#pragma once
// Passes over the rows of a matrix that several plain operators would make one by one, each reading
// and writing everything. Each stands beside the plain formula it must equal in nn/operand.h and
// models/flux/blocks.h, which choose; without gradients, on the CPU, f32 and bf16 only.
#include <cstdint>
#include <vector>

#include "base/tensor.h"

namespace icedit::kernels {

constexpr int64_t kLanes = 16;  // values at once: what a width must be a multiple of

// Columns of an operand [rows, columns], and what becomes of them on the way.
enum class Made { kNothing, kGeluTanh, kModulatedNorm };
struct Part {
  Tensor x;  // [B, S, width] f32 or bf16, its last dimension dense, width a multiple of 16
  Made made = Made::kNothing;
  Tensor shift, scale;  // of kModulatedNorm, [B, 1, width] in x's dtype
  double eps = 0;
};

// The parts side by side: [B, S, columns] in x's dtype.
Tensor joined(const std::vector<Part>& parts);

// Rows of whole numbers that a factor each brings back, as int8 products read them.
struct Int8Rows {
  Tensor tiles;   // uint8, value + 128: tiles of 16 rows x 64 columns, those of 16 rows in order
  Tensor scales;  // f32 [rows]
  int64_t rows = 0, columns = 0;
};

// The same, each run of `group` columns rotated (nn/int8_matrix.h; 0: not), a scale for each row.
Int8Rows quantised(const std::vector<Part>& parts, int64_t group);

// Rows of bf16 as its products read them (nn/kernels/bf16_product.h).
struct Bf16Rows {
  Tensor tiles;  // tiles of 16 rows x 32 columns, those of 16 rows in order, padded with zeros
  int64_t rows = 0, columns = 0;
};

// The same as `joined`. columns: a multiple of 32.
Bf16Rows tiled(const std::vector<Part>& parts);

// q and k of attention: every head of x [B, S, H, D] is divided by its root mean square, multiplied
// by `weight` [D] and turned by cos, sin [S, D] (models/flux/embeddings.h). out may be x.
void normalise_and_turn(const Tensor& x, const Tensor& weight, double eps, const Tensor& cos,
                        const Tensor& sin, const Tensor& out);

// Each run of `group` values of a row of f32 times the regular Hadamard matrix of that size, which
// is its own inverse. group: a power of 4 from 16 on, or 0 for nothing; it divides `columns`.
void rotate(float* row, int64_t columns, int64_t group);
// The largest magnitude of a row; a NaN where there is one.
float largest(const float* row, int64_t columns);
// A row of an int8 weight's tiles (int8_product.h), from its first 4 bytes, times `scale`, rotated.
void unpack_row(const int8_t* tiles, int64_t columns, float scale, int64_t group, float* row);
void round_row(const float* row, int64_t columns, at::BFloat16* to);

}  // namespace icedit::kernels
