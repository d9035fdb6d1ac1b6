#include "io/dtype.h"

#include <array>

namespace icedit {
namespace {

struct Row {
  Dtype dtype;
  std::string_view name;
  size_t size;
  int64_t block = 1;
};

constexpr std::array<Row, 22> kRows = {{{Dtype::kBool, "BOOL", 1},
                                        {Dtype::kU8, "U8", 1},
                                        {Dtype::kI8, "I8", 1},
                                        {Dtype::kI16, "I16", 2},
                                        {Dtype::kI32, "I32", 4},
                                        {Dtype::kI64, "I64", 8},
                                        {Dtype::kF16, "F16", 2},
                                        {Dtype::kBF16, "BF16", 2},
                                        {Dtype::kF32, "F32", 4},
                                        {Dtype::kF64, "F64", 8},
                                        {Dtype::kF8E4M3, "F8_E4M3", 1},
                                        {Dtype::kF8E5M2, "F8_E5M2", 1},
                                        {Dtype::kQ8_0, "Q8_0", 34, 32},
                                        {Dtype::kQ4_0, "Q4_0", 18, 32},
                                        {Dtype::kQ4_1, "Q4_1", 20, 32},
                                        {Dtype::kQ5_0, "Q5_0", 22, 32},
                                        {Dtype::kQ5_1, "Q5_1", 24, 32},
                                        {Dtype::kQ2_K, "Q2_K", 84, 256},
                                        {Dtype::kQ3_K, "Q3_K", 110, 256},
                                        {Dtype::kQ4_K, "Q4_K", 144, 256},
                                        {Dtype::kQ5_K, "Q5_K", 176, 256},
                                        {Dtype::kQ6_K, "Q6_K", 210, 256}}};

constexpr bool rows_follow_the_enum() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].dtype) != i) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

const Row& row(Dtype dtype) {
  return kRows.at(static_cast<size_t>(dtype));
}

}  // namespace

int64_t dtype_block(Dtype dtype) {
  return row(dtype).block;
}
size_t dtype_size(Dtype dtype) {
  return row(dtype).size;
}
std::string_view dtype_name(Dtype dtype) {
  return row(dtype).name;
}

std::optional<Dtype> dtype_from_name(std::string_view name) {
  for (const Row& r : kRows) {
    if (r.name == name && r.block == 1) return r.dtype;
  }
  return std::nullopt;
}

}  // namespace icedit
