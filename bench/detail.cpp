// bench_detail WIDTHxHEIGHT THREADS: seconds and memory of keep_detail at that size with a model of
// 512 pixels, over what the pictures take.
#include "edit/detail/detail.h"

#include <chrono>
#include <cstdio>
#include <random>

#include "base/error.h"
#include "base/process.h"

namespace icedit {
namespace {

Image noise_picture(int width, int height) {
  Image small(width / 24, height / 24);
  std::mt19937 rng(1);
  for (uint8_t& v : small.pixels) v = static_cast<uint8_t>(40 + rng() % 160);
  return resize(small, width, height, Filter::kBicubic);
}

void measure(int width, int height, int threads) {
  const Image original = noise_picture(width, height);
  const int high = (512 * height / width + 8) / 16 * 16;
  const Image source = resize(original, 512, high, Filter::kBicubic);
  Image edit = source;  // all of it darker, a rectangle of another colour
  for (uint8_t& v : edit.pixels) v = static_cast<uint8_t>(v / 2);
  for (int y = high / 4; y < high / 2; ++y)
    for (int x = 100; x < 250; ++x) edit.at(x, y)[0] = static_cast<uint8_t>(200 + (x * y) % 40);
  DetailOptions options;
  options.threads = threads;
  const uint64_t before = peak_memory_bytes();
  double seconds = 1e9;
  DetailFigures figures;
  uint64_t result = 0;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const DetailedEdit made = keep_detail({original, source, source, edit}, options);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    seconds = std::min(seconds, took.count());
    figures = made.figures, result = made.image.pixels.size();
  }
  const double over = double(peak_memory_bytes()) - double(before) - double(result);
  std::printf(
      "%dx%d (%.0f megapixels), %d threads: %.2f s (best of 5), %.0f MB over the pictures; "
      "%.0f %% colour, %.0f %% content\n",
      width, height, width * 1e-6 * height, threads, seconds, over / 1e6, figures.colour,
      figures.content);
}

}  // namespace
}  // namespace icedit

int main(int argc, char** argv) {
  int width = 4000, height = 3000;
  if (argc > 1 && std::sscanf(argv[1], "%dx%d", &width, &height) != 2) return 2;
  icedit::measure(width, height, argc > 2 ? std::atoi(argv[2]) : 2);
  return 0;
}
