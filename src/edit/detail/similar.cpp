#include "edit/detail/similar.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace icedit {
namespace {

constexpr int kReach = 2, kPixels = 25;  // of a patch
constexpr int kRounds = 4;
constexpr size_t kLeastKept = 64;  // patches
constexpr float kLeastContrast = 3, kAlikeFrom = 1.2f;

class PatchMatch {
 public:
  PatchMatch(const Plane& edit, const Plane& source, const Region& painted, const Region& kept)
      : edit_(edit),
        source_(source),
        width_(edit.width),
        height_(edit.height),
        edit_mean_(box_mean(edit, kReach)),
        source_mean_(box_mean(source, kReach)),
        usable_(width_, height_) {
    for (int y = kReach; y < height_ - kReach; ++y)
      for (int x = kReach; x < width_ - kReach; ++x) {
        const int i = y * width_ + x;
        if (kept.inside[i]) usable_.inside[i] = 1, places_.push_back(i);
        if (painted.inside[i]) wanted_.push_back(i);
      }
  }

  Similar run() {
    Similar found{width_, height_, {}};
    if (places_.size() < kLeastKept || wanted_.empty()) return found;
    best_.assign(size_t(width_) * height_, -1);
    error_.assign(best_.size(), 0);
    for (const int i : wanted_) try_place(i, places_[random_() % places_.size()]);
    for (int round = 0; round < kRounds; ++round) {
      const int step = round % 2 == 0 ? -1 : 1;  // from what was just improved
      if (round > 0) std::reverse(wanted_.begin(), wanted_.end());
      for (const int i : wanted_) {
        for (const int beside : {step, step * width_}) {
          if (best_[i + beside] >= 0) try_place(i, best_[i + beside] - beside);
        }
        for (int reach = std::max(width_, height_); reach > 0; reach /= 2) {
          const int x = best_[i] % width_ + offset(reach), y = best_[i] / width_ + offset(reach);
          if (x >= 0 && y >= 0 && x < width_ && y < height_) try_place(i, y * width_ + x);
        }
      }
    }
    found.matches.resize(best_.size());
    for (const int i : wanted_)
      found.matches[i] = {static_cast<int16_t>(best_[i] % width_),
                          static_cast<int16_t>(best_[i] / width_), weight(i)};
    return found;
  }

 private:
  int offset(int reach) { return static_cast<int>(random_() % (2 * reach + 1)) - reach; }

  void try_place(int i, int place) {
    if (place < 0 || place >= width_ * height_ || !usable_.inside[place]) return;
    const float most = best_[i] < 0 ? INFINITY : error_[i];
    const float shift = edit_mean_.values[i] - source_mean_.values[place];
    float sum = 0;
    for (int dy = -kReach; dy <= kReach && sum < most; ++dy)
      for (int dx = -kReach; dx <= kReach; ++dx)
        sum += squared(edit_.values[i + dy * width_ + dx] -
                       source_.values[place + dy * width_ + dx] - shift);
    if (sum < most) best_[i] = place, error_[i] = sum;
  }

  float weight(int i) const {
    float spread = 0;
    for (int dy = -kReach; dy <= kReach; ++dy)
      for (int dx = -kReach; dx <= kReach; ++dx)
        spread += squared(edit_.values[i + dy * width_ + dx] - edit_mean_.values[i]);
    const float contrast = std::sqrt(spread / kPixels) + kLeastContrast;
    return std::clamp(kAlikeFrom - std::sqrt(error_[i] / kPixels) / contrast, 0.0f, 1.0f);
  }

  const Plane &edit_, &source_;
  int width_, height_;
  Plane edit_mean_, source_mean_;
  Region usable_;
  std::vector<int> places_, wanted_, best_;
  std::vector<float> error_;
  std::mt19937 random_;
};

}  // namespace

Similar find_similar(const Plane& edit_luma, const Plane& source_luma, const Region& painted,
                     const Region& kept) {
  return PatchMatch(edit_luma, source_luma, painted, kept).run();
}

}  // namespace icedit
