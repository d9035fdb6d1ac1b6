#include "nn/kernels/kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "nn/kernels/cpu.h"
#include "nn/kernels/low_rank_term.h"
#include "nn/kernels/tiles.h"

#if defined(__x86_64__)
#include <ATen/native/CPUBlas.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace icedit::kernels {
namespace {

// A Part as its rows are reached.
struct Source {
  const void *x, *shift = nullptr, *scale = nullptr;
  bool is_bf16;
  Made made;
  int64_t width, batch_stride, token_stride, shift_stride = 0, scale_stride = 0;
  float eps;
};

// One of an operand's rows.
struct Row {
  const std::vector<Source>& parts;
  int64_t batch, token;
};

#define ICEDIT_KERNELS "nn/kernels/rows.inc"
#include "nn/kernels/each_set.inc"

Source source_of(const Part& part) {
  const Tensor& x = part.x;
  Source source{x.const_data_ptr(),
                nullptr,
                nullptr,
                x.scalar_type() == at::kBFloat16,
                part.made,
                x.size(2),
                x.stride(0),
                x.stride(1),
                0,
                0,
                float(part.eps)};
  if (part.made == Made::kModulatedNorm) {
    source.shift = part.shift.const_data_ptr();
    source.scale = part.scale.const_data_ptr();
    source.shift_stride = part.shift.size(0) == 1 ? 0 : part.shift.stride(0);
    source.scale_stride = part.scale.size(0) == 1 ? 0 : part.scale.stride(0);
  }
  return source;
}

std::vector<Source> sources_of(const std::vector<Part>& parts) {
  std::vector<Source> sources;
  for (const Part& part : parts) sources.push_back(source_of(part));
  return sources;
}

int64_t columns_of(const std::vector<Part>& parts) {
  int64_t columns = 0;
  for (const Part& part : parts) columns += part.x.size(2);
  return columns;
}

constexpr int64_t kGrain = 1 << 14;  // values a thread takes at least

int64_t row_grain(int64_t columns) {
  return std::max<int64_t>(1, kGrain / columns);
}

// use(i, row, memory): of each row, with room for it in f32.
template <class Use>
void each_row(const std::vector<Part>& parts, const Use& use) {
  const Tensor& first = parts.front().x;
  const std::vector<Source> sources = sources_of(parts);
  const int64_t columns = columns_of(parts), tokens = first.size(1);
  at::parallel_for(0, first.size(0) * tokens, row_grain(columns), [&](int64_t begin, int64_t end) {
    const Tensor memory = at::empty({columns}, at::kFloat);
    for (int64_t i = begin; i < end; ++i)
      use(i, Row{sources, i / tokens, i % tokens}, memory.mutable_data_ptr<float>());
  });
}

template <class T>
void join(const std::vector<Part>& parts, const Tensor& out) {
  const auto write_row = has_avx512() ? avx512::write_row<T> : avx2::write_row<T>;
  T* to = out.mutable_data_ptr<T>();
  const int64_t columns = out.size(2);
  each_row(parts, [&](int64_t i, const Row& row, float* memory) {
    write_row(row, memory, to + i * columns);
  });
}

template <class T>
void normalise_and_turn_heads(const Tensor& x, const Tensor& weight, double eps, const Tensor& cos,
                              const Tensor& sin, const Tensor& out) {
  const auto head =
      has_avx512() ? avx512::normalise_and_turn_head<T> : avx2::normalise_and_turn_head<T>;
  const T *from = x.const_data_ptr<T>(), *factors = weight.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  const float *c = cos.const_data_ptr<float>(), *s = sin.const_data_ptr<float>();
  const int64_t tokens = x.size(1), heads = x.size(2), width = x.size(3);
  at::parallel_for(0, x.size(0) * tokens, row_grain(heads * width),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       const int64_t batch = i / tokens, token = i % tokens;
                       const T* row = from + batch * x.stride(0) + token * x.stride(1);
                       T* out_row = to + batch * out.stride(0) + token * out.stride(1);
                       for (int64_t h = 0; h < heads; ++h)
                         head(row + h * x.stride(2), factors, float(eps), c + token * width,
                              s + token * width, width, out_row + h * out.stride(2));
                     }
                   });
}

}  // namespace

bool has_avx512() {
  static const bool has = [] {
#if defined(__x86_64__)
    return at::get_cpu_capability() == "AVX512" && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
  }();
  return has;
}

bool has_avx512_bf16() {
#if defined(__x86_64__)
  return has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool has_amx() {
#if defined(__x86_64__)
  static const bool has = [] {
    constexpr int kRequest = 0x1023, kTileData = 18;              // ARCH_REQ_XCOMP_PERM
    constexpr uint32_t kWanted = 1U << 22 | 1U << 24 | 1U << 25;  // bf16, tiles, int8
    uint32_t a = 7, b = 0, c = 0, d = 0;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return has_avx512_bf16() && at::native::cpublas::could_pack(at::kBFloat16) &&
           (d & kWanted) == kWanted && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  }();
  return has;
#else
  return false;
#endif
}

Tensor joined(const std::vector<Part>& parts) {
  const Tensor& first = parts.front().x;
  const int64_t columns = columns_of(parts);
  const Tensor out = at::empty({first.size(0), first.size(1), columns}, first.options());
  first.scalar_type() == at::kBFloat16 ? join<at::BFloat16>(parts, out) : join<float>(parts, out);
  return out;
}

Int8Rows quantised(const std::vector<Part>& parts, int64_t group) {
  const Tensor& first = parts.front().x;
  Int8Rows out;
  out.rows = first.size(0) * first.size(1);
  out.columns = columns_of(parts);
  const int64_t blocks = tiles_for(out.rows, kBlock) * 2;
  const int64_t row_bytes = inner_tiles(out.columns) * kTileBytes;
  out.tiles = at::empty({blocks * row_bytes}, first.options().dtype(at::kByte));
  out.scales = at::zeros({blocks * kTileRows}, first.options().dtype(at::kFloat));
  auto* tiles = out.tiles.mutable_data_ptr<uint8_t>();
  auto* scales = out.scales.mutable_data_ptr<float>();
  // Rows and columns that are only there to fill a tile are zero.
  const int64_t padded = out.columns % kTileColumns != 0 ? 0 : out.rows / kTileRows;
  std::memset(tiles + padded * row_bytes, 128, size_t((blocks - padded) * row_bytes));
  const auto quantise_row = has_avx512() ? avx512::quantise_row : avx2::quantise_row;
  each_row(parts, [&](int64_t i, const Row& row, float* memory) {
    uint8_t* to = tiles + i / kTileRows * row_bytes + i % kTileRows * kTileColumns;
    scales[i] = quantise_row(row, out.columns, group, memory, to);
  });
  return out;
}

Bf16Rows tiled(const std::vector<Part>& parts) {
  const Tensor& first = parts.front().x;
  Bf16Rows out{{}, first.size(0) * first.size(1), columns_of(parts)};
  const int64_t row_values = out.columns * kTileRows;  // of 16 rows
  const int64_t blocks = tiles_for(out.rows, kBlock) * 2;
  out.tiles = at::empty({blocks * row_values}, first.options().dtype(at::kBFloat16));
  auto* tiles = out.tiles.mutable_data_ptr<at::BFloat16>();
  const int64_t whole = out.rows / kTileRows * row_values;
  out.tiles.narrow(0, whole, out.tiles.numel() - whole).zero_();
  const auto tile_row = has_avx512() ? avx512::tile_row : avx2::tile_row;
  each_row(parts, [&](int64_t i, const Row& row, float* memory) {
    tile_row(row, memory, tiles + i / kTileRows * row_values + i % kTileRows * kTileHalves);
  });
  return out;
}

Tensor used_tiles(const Bf16Rows& low) {
  const int64_t tiles = low.columns / kTileHalves, blocks = tiles_for(low.rows, kBlock);
  const Tensor used = at::zeros({blocks, tiles}, at::kByte);
  const auto* values = reinterpret_cast<const uint16_t*>(low.tiles.const_data_ptr());
  auto* to = used.mutable_data_ptr<uint8_t>();
  // Those of 16 rows and then of the next 16, of which a block is made.
  for (int64_t i = 0; i < 2 * blocks * tiles; ++i, values += kTileValues) {
    const auto is_zero = [](uint16_t bits) { return (bits & 0x7fff) == 0; };  // of either sign
    if (!std::all_of(values, values + kTileValues, is_zero))
      to[i / tiles / 2 * tiles + i % tiles] = 1;
  }
  return used;
}

void normalise_and_turn(const Tensor& x, const Tensor& weight, double eps, const Tensor& cos,
                        const Tensor& sin, const Tensor& out) {
  x.scalar_type() == at::kBFloat16
      ? normalise_and_turn_heads<at::BFloat16>(x, weight, eps, cos, sin, out)
      : normalise_and_turn_heads<float>(x, weight, eps, cos, sin, out);
}

void unpack_row(const int8_t* tiles, int64_t columns, float scale, int64_t group, float* row) {
  has_avx512() ? avx512::unpack_row(tiles, columns, scale, group, row)
               : avx2::unpack_row(tiles, columns, scale, group, row);
}

void round_row(const float* row, int64_t columns, at::BFloat16* to) {
  has_avx512() ? avx512::round_values(row, columns, to) : avx2::round_values(row, columns, to);
}

void rotate(float* row, int64_t columns, int64_t group) {
  has_avx512() ? avx512::rotate(row, columns, group) : avx2::rotate(row, columns, group);
}

float largest(const float* row, int64_t columns) {
  return avx2::largest(row, columns);
}

}  // namespace icedit::kernels
