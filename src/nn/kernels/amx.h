#pragma once
// AMX: eight tiles of 16 rows x 64 bytes, and products of them. Included by .cpp files alone, on
// x86-64. A left factor's tile has 16 of its rows; a right one's has 16 of its columns, and each of
// its rows holds what is added up at once side by side: 4 values of 8 bits of every column, or 2 of
// bf16.
#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "base/tensor.h"
#include "nn/kernels/tiles.h"

namespace icedit::kernels::amx {

#define ICEDIT_AMX \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-int8,amx-bf16")))

constexpr int64_t kRowBytes = 64;

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, unused[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// A thread asks for its tiles before its work, and gives them up behind it.
ICEDIT_AMX inline void begin() {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    shapes.bytes[i] = kRowBytes;
    shapes.rows[i] = 16;
  }
  asm volatile("ldtilecfg %0" ::"m"(shapes));
}
ICEDIT_AMX inline void end() {
  _tile_release();
}

// 32 rows of a times 32 columns of b over `tiles` tiles of the inner dimension, into or onto c, as
// four tiles of 16 x 16: c [2 of a][2 of b][16][16]. a uint8, b int8, c int32; or bf16 and c float.
template <class A, class B, class C>
struct Step {
  const A* a;
  int64_t a_stride;  // values to the next 16 rows
  const B* b;
  int64_t b_stride;  // values to the next 16 columns
  int64_t tiles;
  C* c;
  bool onto;
};

using Bf16Step = Step<at::BFloat16, at::BFloat16, float>;

template <class A, class B, class C>
ICEDIT_AMX inline void step(const Step<A, B, C>& s) {
#define ICEDIT_MULTIPLY(to, left, right)  \
  if constexpr (std::is_same_v<C, float>) \
    _tile_dpbf16ps(to, left, right);      \
  else                                    \
    _tile_dpbusd(to, left, right)
  constexpr int64_t kSums = 256;
  if (s.onto) {
    _tile_loadd(0, s.c, kRowBytes);
    _tile_loadd(1, s.c + kSums, kRowBytes);
    _tile_loadd(2, s.c + 2 * kSums, kRowBytes);
    _tile_loadd(3, s.c + 3 * kSums, kRowBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const A *a0 = s.a, *a1 = s.a + s.a_stride;
  const B *b0 = s.b, *b1 = s.b + s.b_stride;
  constexpr int64_t kNextA = kTileBytes / sizeof(A), kNextB = kTileBytes / sizeof(B);
  for (int64_t i = 0; i < s.tiles; ++i) {
    _tile_loadd(4, a0 + i * kNextA, kRowBytes);
    _tile_loadd(6, b0 + i * kNextB, kRowBytes);
    ICEDIT_MULTIPLY(0, 4, 6);
    _tile_loadd(7, b1 + i * kNextB, kRowBytes);
    ICEDIT_MULTIPLY(1, 4, 7);
    _tile_loadd(5, a1 + i * kNextA, kRowBytes);
    ICEDIT_MULTIPLY(2, 5, 6);
    ICEDIT_MULTIPLY(3, 5, 7);
  }
  _tile_stored(0, s.c, kRowBytes);
  _tile_stored(1, s.c + kSums, kRowBytes);
  _tile_stored(2, s.c + 2 * kSums, kRowBytes);
  _tile_stored(3, s.c + 3 * kSums, kRowBytes);
#undef ICEDIT_MULTIPLY
}

}  // namespace icedit::kernels::amx
