// Times products, [tokens, in] x [out, in]^T, of whole numbers of 8 bits by every kernel that this
// CPU has, and in bf16 by ours, where it has AMX, and by libtorch: bench_products [--tokens 2560]
// [--in 3072] [--out 12288] [--runs 7] [--threads 2].
#include <cstdio>

#include "edit/threads.h"
#include "nn/ggml_quantise.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/bf16_product.h"
#include "nn/kernels/int4_rows.h"
#include "nn/kernels/int8_product.h"
#include "program.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  int64_t tokens = 2560, in = 3072, out = 12288, runs = 7, threads = 2;
};

void run(const Arguments& a) {
  const Threads threads(a.threads);
  const c10::InferenceMode inference;
  const Tensor input = at::randn({1, a.tokens, a.in}).to(at::kBFloat16);
  const kernels::Part part{input, kernels::Made::kNothing, {}, {}, 0};
  const Tensor rows = at::randint(-127, 128, {a.out, a.in}, at::kChar);
  const kernels::Int8Weight weight = kernels::packed(rows, at::ones({a.out}));
  const auto best = [&](const auto& work) { return bench::best(a.runs, work); };
  kernels::Int8Rows x;
  std::printf("quantised, rotated: %.2f ms\n",
              1e3 * best([&] { x = kernels::quantised({part}, rotation_group(a.in)); }));
  const Tensor out = at::empty({a.tokens, a.out}, at::kBFloat16);
  const auto report = [&](const std::string& name, const auto& work) {
    const double seconds = best(work);
    std::printf("%s: %.2f ms, %.0f GOP/s\n", name.c_str(), 1e3 * seconds,
                2e-9 * double(a.tokens * a.in * a.out) / seconds);
  };
  for (const kernels::Int8Kernel& kernel : kernels::int8_kernels())
    report(kernel.name, [&] { kernel.product(x, weight, {}, out, {}); });
  const Tensor dense = rows.to(at::kBFloat16);
  if (kernels::multiplies_bf16(dense)) {
    kernels::Bf16Rows tiles;
    std::printf("in tiles of bf16: %.2f ms\n", 1e3 * best([&] { tiles = kernels::tiled({part}); }));
    report("bf16, ours", [&] { kernels::product(tiles, dense, {}, out); });
    report("bf16, ours, gradient", [&] {
      kernels::product_transposed(kernels::tiled({{out.unsqueeze(0), part.made, {}, {}, 0}}), dense,
                                  at::empty({a.tokens, a.in}, at::kBFloat16));
    });
  }
  report("bf16, libtorch", [&] { at::linear(input, dense); });
  const Tensor exact = at::randn({a.out, a.in});
  const Int4Values four = quantised_rows_in_4_bits(exact, rotation_group(a.in));
  const kernels::Int4Weight int4 = {four.codes, four.run_scales.view(at::kByte),
                                    at::ones({256, 16}, at::kChar), four.scales};
  report("int4", [&] { kernels::product(x, int4, {}, out); });
  kernels::Q4Weight q4 = {blocks_of(exact, Dtype::kQ4_0), {}};
  q4.scales = kernels::q4_scales(q4.blocks);
  report("q4_0", [&] { kernels::product(x, q4, {}, out); });
  const auto made = [&](const char* name, const auto& work) {
    std::printf("made %s: %.0f million values/s\n", name, 1e-6 * double(a.in * a.out) / best(work));
  };
  made("int8", [&] { quantised_rows(exact, rotation_group(a.in)); });
  made("int4", [&] { quantised_rows_in_4_bits(exact, rotation_group(a.in)); });
  made("q8_0", [&] { blocks_of(exact, Dtype::kQ8_0); });
  made("q4_0", [&] { blocks_of(exact, Dtype::kQ4_0); });
  made("q4_k", [&] { blocks_of(exact, Dtype::kQ4_K); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] {
    Arguments a;
    bench::parse_flags(argc, argv, 1,
                       {{},
                        {{"--tokens", &a.tokens},
                         {"--in", &a.in},
                         {"--out", &a.out},
                         {"--runs", &a.runs},
                         {"--threads", &a.threads}}});
    run(a);
  });
}
