#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "io/resize.h"

namespace icedit {
namespace {

constexpr double kMostPsnr = 100;
constexpr int kVisible = 20;       // of 255, in some channel
constexpr double kMostSpill = 15;  // of 255
constexpr double kLocalLeft = 0.5, kStyleLeft = 0.4;

Image at_size_of(const Image& target, const Image& image) {
  if (image.width == target.width && image.height == target.height) return image;
  return resize(image, target.width, target.height, Filter::kBicubic);
}

// Sum over the three channels, and the largest.
struct Difference {
  int sum = 0, most = 0;
};

Difference difference(const uint8_t* a, const uint8_t* b) {
  Difference d;
  for (int c = 0; c < 3; ++c) {
    const int one = std::abs(int(a[c]) - int(b[c]));
    d.sum += one;
    d.most = std::max(d.most, one);
  }
  return d;
}

}  // namespace

PairMetrics compare(const Image& result, const Image& target) {
  const Image sized = at_size_of(target, result);
  double absolute = 0, squared = 0;
  for (size_t i = 0; i < target.pixels.size(); ++i) {
    const double d = (int(sized.pixels[i]) - int(target.pixels[i])) / 255.0;
    absolute += std::abs(d);
    squared += d * d;
  }
  const auto values = static_cast<double>(std::max<size_t>(1, target.pixels.size()));
  PairMetrics metrics{absolute / values, squared / values, kMostPsnr};
  if (metrics.l2 > 0) metrics.psnr = std::min(kMostPsnr, -10 * std::log10(metrics.l2));
  return metrics;
}

EditKind kind_of(const std::string& task) {
  return task.starts_with("style") ? EditKind::kStyle : EditKind::kLocal;
}

Judgement judge(const Image& source, const Image& result, const Image& target, EditKind kind) {
  const Image from = at_size_of(target, source), got = at_size_of(target, result);
  const bool style = kind == EditKind::kStyle;
  double wanted = 0, left = 0, spilled = 0;
  int64_t others = 0;
  for (size_t i = 0; i + 3 <= target.pixels.size(); i += 3) {
    const Difference change = difference(&from.pixels[i], &target.pixels[i]);
    if (style || change.most > kVisible) {
      wanted += change.sum;
      left += difference(&got.pixels[i], &target.pixels[i]).sum;
    } else {
      spilled += difference(&got.pixels[i], &from.pixels[i]).sum;
      ++others;
    }
  }
  Judgement judgement;
  if (others > 0) judgement.spill = spilled / (3.0 * static_cast<double>(others));
  if (wanted == 0) return judgement;
  judgement.change_left = left / wanted;
  judgement.success =
      judgement.change_left < (style ? kStyleLeft : kLocalLeft) && judgement.spill < kMostSpill;
  return judgement;
}

}  // namespace icedit
