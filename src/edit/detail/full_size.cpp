#include "edit/detail/full_size.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace icedit {
namespace {

// M and b before them.
constexpr size_t kChangedLane = 12, kContentLane = 13, kAgreementLane = 14, kMatteLane = 15,
                 kLanes = 20;
constexpr float kPatchesOver = 9;  // a pixel of the model
constexpr float kMatteFrom = 0.2f, kMatteOver = 0.4f;

// Places along one side: the two of the small picture between which each lies.
struct Between {
  std::vector<int> first, second;
  std::vector<float> share;  // of the second

  Between(int small, int large) : first(large), second(large), share(large) {
    for (int i = 0; i < large; ++i) {
      const double at =
          std::clamp((i + 0.5) * small / large - 0.5, 0.0, static_cast<double>(small - 1));
      first[i] = static_cast<int>(at);
      second[i] = std::min(first[i] + 1, small - 1);
      share[i] = static_cast<float>(at - first[i]);
    }
  }
};

// Lanczos of 3, as Pillow places it.
struct Lanczos {
  std::vector<int> first;
  std::vector<float> weights;
  int taps = 0;

  Lanczos(int small, int large) : first(large) {
    const double scale = static_cast<double>(small) / large, stretch = std::max(scale, 1.0);
    taps = std::min(static_cast<int>(std::ceil(3 * stretch)) * 2 + 1, small);
    weights.resize(size_t(large) * taps);
    for (int i = 0; i < large; ++i) {
      const double centre = (i + 0.5) * scale;
      first[i] = std::clamp(static_cast<int>(centre - 3 * stretch + 0.5), 0, small - taps);
      float* w = &weights[size_t(i) * taps];
      double sum = 0;
      for (int k = 0; k < taps; ++k) {
        const double x = (first[i] + k + 0.5 - centre) / stretch;
        w[k] = static_cast<float>(std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0);
        sum += w[k];
      }
      for (int k = 0; k < taps; ++k) w[k] = static_cast<float>(w[k] / sum);
    }
  }

  static double sinc(double x) {
    x *= std::numbers::pi;
    return x == 0 ? 1 : std::sin(x) / x;
  }
};

uint8_t to_byte(float v) {
  return static_cast<uint8_t>(std::clamp(v, 0.0f, 255.0f) + 0.5f);
}

class FullSize {
 public:
  FullSize(const Image& original, const SmallEdit& edit, const std::vector<float>& weight,
           Image& out)
      : original_(original),
        edit_(edit),
        weight_(weight),
        out_(out),
        width_(edit.changed.width),
        height_(edit.changed.height),
        across_(width_, original.width),
        down_(height_, original.height),
        edit_across_(width_, original.width),
        edit_down_(height_, original.height),
        maps_(edit.colours.parameters) {
    maps_.push_back(edit.changed);
    maps_.push_back(edit.content);
    maps_.push_back(edit.agreement);
    maps_.insert(maps_.end(), edit.matte.begin(), edit.matte.end());
  }

  void rows(int begin, int end) const {
    std::vector<float> maps(size_t(width_) * kLanes), painted(size_t(width_) * 4);
    for (int y = begin; y < end; ++y) row(y, maps, painted);
  }

 private:
  // The maps at the row's height, a pixel's values side by side.
  void maps_at(int y, std::vector<float>& maps) const {
    for (size_t k = 0; k < maps_.size(); ++k) {
      const float* a = maps_[k].row(down_.first[y]);
      const float* b = maps_[k].row(down_.second[y]);
      const float share = down_.share[y];
      for (int x = 0; x < width_; ++x) maps[x * kLanes + k] = a[x] + share * (b[x] - a[x]);
    }
  }

  // The edit, and the source's luma, side by side.
  void painted_at(int y, std::vector<float>& painted) const {
    std::fill(painted.begin(), painted.end(), 0.0f);
    for (int k = 0; k < edit_down_.taps; ++k) {
      const float weight = edit_down_.weights[size_t(y) * edit_down_.taps + k];
      for (size_t c = 0; c < 4; ++c) {
        const Plane& plane = c < 3 ? edit_.edit[c] : edit_.source_luma;
        const float* from = plane.row(edit_down_.first[y] + k);
        for (int x = 0; x < width_; ++x) painted[4 * x + c] += weight * from[x];
      }
    }
  }

  bool any(const Plane& map, int y) const {
    const float* a = map.row(down_.first[y]);
    const float* b = map.row(down_.second[y]);
    const auto positive = [](float v) { return v > 0; };
    return std::any_of(a, a + width_, positive) || std::any_of(b, b + width_, positive);
  }

  void row(int y, std::vector<float>& maps, std::vector<float>& painted) const {
    if (!any(edit_.changed, y)) return;
    maps_at(y, maps);
    const bool has_content = any(edit_.content, y);
    if (has_content) painted_at(y, painted);
    const uint8_t* from = original_.at(0, y);
    uint8_t* to = out_.at(0, y);
    for (int x = 0; x < original_.width; ++x, from += 3, to += 3) {
      const float* a = &maps[size_t(across_.first[x]) * kLanes];
      const float* b = &maps[size_t(across_.second[x]) * kLanes];
      if (a[kChangedLane] <= 0 && b[kChangedLane] <= 0) continue;
      std::array<float, kLanes> v;
      const float share = across_.share[x];
      for (size_t k = 0; k < kLanes; ++k) v[k] = a[k] + share * (b[k] - a[k]);
      const float* matte = &v[kMatteLane];
      const float belongs = matte[0] * from[0] + matte[1] * from[1] + matte[2] * from[2] + matte[3];
      float m = std::min(v[kChangedLane], (belongs - kMatteFrom) / kMatteOver);
      if (!weight_.empty()) m *= weight_[size_t(y) * original_.width + x];
      if (m <= 0) continue;
      std::array<float, 4> paint = {};
      if (has_content && v[kContentLane] > 0) {
        const float* weights = &edit_across_.weights[size_t(x) * edit_across_.taps];
        const float* p = &painted[size_t(edit_across_.first[x]) * 4];
        for (int k = 0; k < edit_across_.taps; ++k, p += 4)
          for (size_t c = 0; c < 4; ++c) paint[c] += weights[k] * p[c];
        const float agrees = v[kAgreementLane];
        const float detail =
            agrees * (luma_of(from) - paint[3]) + std::max(0.0f, 1 - agrees) * borrowed(x, y);
        for (size_t c = 0; c < 3; ++c) paint[c] += detail;
      }
      for (size_t c = 0; c < 3; ++c) {
        const float* M = &v[3 * c];
        float changed = M[0] * from[0] + M[1] * from[1] + M[2] * from[2] + v[9 + c];
        changed += v[kContentLane] * (paint[c] - changed);
        to[c] = to_byte(from[c] + m * (changed - from[c]));
      }
    }
  }

  static float luma_of(const uint8_t* p) { return 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2]; }

  // What the original's luma has of finer detail at a pixel.
  float finer(int x, int y) const {
    const Plane& small = edit_.source_luma;
    const float* a = small.row(down_.first[y]);
    const float* b = small.row(down_.second[y]);
    const int x0 = across_.first[x], x1 = across_.second[x];
    const float share = across_.share[x];
    const float top = a[x0] + share * (a[x1] - a[x0]), low = b[x0] + share * (b[x1] - b[x0]);
    return luma_of(original_.at(x, y)) - (top + down_.share[y] * (low - top));
  }

  // The detail of places that look like this one in the painting: the mean of those that the 3 x 3
  // patches around it have found, each moved as its patch is; less, where some have found nothing.
  float borrowed(int x, int y) const {
    if (edit_.similar.matches.empty()) return 0;
    const int sx = static_cast<int>(int64_t{x} * width_ / original_.width);
    const int sy = static_cast<int>(int64_t{y} * height_ / original_.height);
    float sum = 0;
    for (int v = std::max(sy - 1, 0); v <= std::min(sy + 1, height_ - 1); ++v)
      for (int u = std::max(sx - 1, 0); u <= std::min(sx + 1, width_ - 1); ++u) {
        const Similar::Match& match = edit_.similar.at(u, v);
        if (match.weight <= 0) continue;
        const int fx = x + static_cast<int>(int64_t{match.x - u} * original_.width / width_);
        const int fy = y + static_cast<int>(int64_t{match.y - v} * original_.height / height_);
        if (fx < 0 || fy < 0 || fx >= original_.width || fy >= original_.height) continue;
        sum += match.weight * finer(fx, fy);
      }
    return sum / kPatchesOver;
  }

  const Image& original_;
  const SmallEdit& edit_;
  const std::vector<float>& weight_;
  Image& out_;
  int width_, height_;
  Between across_, down_;
  Lanczos edit_across_, edit_down_;
  Planes maps_;
};

}  // namespace

Image at_full_size(const Image& original, const SmallEdit& edit, const std::vector<float>& weight,
                   int threads, const std::function<void(double)>& on_progress) {
  Image out = original;
  const FullSize pass(original, edit, weight, out);
  constexpr int kParts = 16;  // between two of them one may cancel
  for (int part = 0; part < kParts; ++part) {
    const int begin = static_cast<int>(int64_t{original.height} * part / kParts);
    const int end = static_cast<int>(int64_t{original.height} * (part + 1) / kParts);
    run_rows(end - begin, threads, [&](int b, int e) { pass.rows(begin + b, begin + e); });
    on_progress(static_cast<double>(part + 1) / kParts);
  }
  return out;
}

}  // namespace icedit
