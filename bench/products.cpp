// Times products of whole numbers of 8 bits, [tokens, in] x [out, in]^T, by every kernel that this
// CPU has: bench_products [--tokens 2560] [--in 3072] [--out 12288] [--runs 7] [--threads 2].
#include <cstdio>

#include "edit/threads.h"
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
  const auto best = [&](const auto& work) {
    const auto seconds = bench::timed(a.runs, work).wall;
    return *std::min_element(seconds.begin(), seconds.end());
  };
  kernels::Int8Rows x;
  std::printf("quantised, rotated: %.2f ms\n",
              1e3 * best([&] { x = kernels::quantised({part}, 256); }));
  const Tensor out = at::empty({a.tokens, a.out}, at::kBFloat16);
  for (const kernels::Int8Kernel& kernel : kernels::int8_kernels()) {
    const double seconds = best([&] { kernel.product(x, weight, {}, out); });
    std::printf("%s: %.2f ms, %.0f GOP/s\n", kernel.name.c_str(), 1e3 * seconds,
                2e-9 * double(a.tokens * a.in * a.out) / seconds);
  }
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
