// Times attention in bf16, [1, heads, tokens, width], forward and backward: ours, where the CPU has
// it, and libtorch's. bench_attention [--tokens 2560] [--heads 24] [--width 128] [--runs 7]
// [--threads 2].
#include <cstdio>

#include "edit/threads.h"
#include "nn/bf16_attention.h"
#include "program.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  int64_t tokens = 2560, heads = 24, width = 128, runs = 7, threads = 2;
};

void run(const Arguments& a) {
  const Threads threads(a.threads);
  const c10::InferenceMode inference;
  const auto random = [&] {
    return at::randn({1, a.tokens, a.heads, a.width}).to(at::kBFloat16).transpose(1, 2);
  };
  const Tensor q = random(), k = random(), v = random();
  const double scale = 1 / std::sqrt(double(a.width));
  const auto report = [&](const char* name, double share, const auto& work) {
    const double seconds = bench::best(a.runs, work);
    std::printf("%s: %.2f ms, %.0f GFLOP/s\n", name, 1e3 * seconds,
                share * 4e-9 * double(a.tokens * a.tokens * a.heads * a.width) / seconds);
  };
  constexpr double kBackward = 2.5;  // times the products of a forward
  const Tensor grad = random();
  if (fits_bf16_attention(q, k, v)) {
    report("ours", 1, [&] { bf16_attention(q, k, v, scale); });
    report("ours, of long q and k", 1, [&] { bf16_attention(q, k, v, 20 * scale); });
    const Attended made = bf16_attention(q, k, v, scale);
    report("ours, backward", kBackward,
           [&] { bf16_attention_backward(grad, q, k, v, made, scale); });
  }
  report("libtorch's", 1,
         [&] { at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/false, scale); });
  const auto [out, log_sum] =
      at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, false, {}, scale);
  const Tensor log_sums = log_sum;
  report("libtorch's, backward", kBackward, [&, out = out] {
    at::_scaled_dot_product_flash_attention_for_cpu_backward(grad, q, k, v, out, log_sums, 0.0,
                                                             false, {}, scale);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] {
    Arguments a;
    bench::parse_flags(argc, argv, 1,
                       {{},
                        {{"--tokens", &a.tokens},
                         {"--heads", &a.heads},
                         {"--width", &a.width},
                         {"--runs", &a.runs},
                         {"--threads", &a.threads}}});
    run(a);
  });
}
