// An edit's way back to the photo's own size, on pictures made here.
#include "edit/detail/detail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "edit/detail/matte.h"
#include "edit/detail/registration.h"
#include "edit/detail/similar.h"

namespace icedit {
namespace {

using Colour = std::array<double, 3>;

// A scene without a grid: any point has a colour. Waves of several lengths and a ramp, and a few
// discs before them; u and v are parts of the width.
Colour background(double u, double v) {
  double wave = 0;
  for (const double f : {17.0, 41.0, 97.0})
    wave += std::sin(f * u + 0.3 * f * v) * std::cos(0.7 * f * v - 0.2 * f * u) * 60 / std::sqrt(f);
  return {110 + 60 * u + wave, 120 - 40 * v + 1.2 * wave, 90 + 30 * v - 0.6 * wave};
}

Colour scene(double u, double v) {
  Colour c = background(u, v);
  for (int i = 0; i < 9; ++i) {
    const double x = 0.1 + 0.1 * i, y = 0.15 + 0.07 * ((i * 5) % 9), r = 0.02 + 0.005 * i;
    if (std::hypot(u - x, v - y) < r) c = {40.0 + 20 * i, 220.0 - 15 * i, 60.0 + 10 * (i % 4)};
  }
  return c;
}

using Change = std::function<Colour(double u, double v, Colour)>;

// `picture` of the scene after `change`, each pixel the mean of `samples` squared points; a point x
// from the centre shows what is at (x - shift) / zoom, in pixels.
Image render(int w, int h, const Change& change, double shift = 0, double zoom = 1) {
  constexpr int kSamples = 3;
  Image out(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      Colour sum = {};
      for (int j = 0; j < kSamples; ++j)
        for (int i = 0; i < kSamples; ++i) {
          const double px = x + (i + 0.5) / kSamples - w / 2.0 - shift;
          const double py = y + (j + 0.5) / kSamples - h / 2.0 + shift / 2;
          const double u = (px / zoom + w / 2.0) / w, v = (py / zoom + h / 2.0) / w;
          const Colour c = change(u, v, scene(u, v));
          for (size_t k = 0; k < 3; ++k) sum[k] += c[k] / (kSamples * kSamples);
        }
      for (size_t k = 0; k < 3; ++k)
        out.at(x, y)[k] = uint8_t(std::lround(std::clamp(sum[k], 0.0, 255.0)));
    }
  return out;
}

Image noisy(Image image, unsigned seed, double deviation = 3) {
  std::mt19937 rng(seed);
  for (uint8_t& v :
       image.pixels) {  // a sum of uniforms: the same everywhere, unlike normal_distribution
    double noise = 0;
    for (int i = 0; i < 4; ++i) noise += double(rng() % 1000) / 1000 - 0.5;
    v = uint8_t(std::clamp(std::lround(v + deviation * noise * std::sqrt(3.0)), 0L, 255L));
  }
  return image;
}

Colour same(double, double, Colour c) {
  return c;
}

Colour night(double, double, Colour c) {
  return {0.3 * c[0] + 5, 0.4 * c[1] + 5, 0.6 * c[2] + 20};
}

bool in_spot(double u, double v) {
  return std::hypot(u - 0.3, v - 0.35) < 0.12;
}

Colour spot(double u, double v, Colour c) {
  return in_spot(u, v) ? Colour{230, 40 + 100 * u, 30} : c;
}

constexpr int kWide = 384, kHigh = 288, kSmallWide = 128, kSmallHigh = 96;

const Image& unchanged() {
  static const Image original = render(kWide, kHigh, same);
  return original;
}

struct Case {
  Image original, truth, source, reconstruction, edit;

  explicit Case(const Change& change, double shift = 0.8, double zoom = 1.003, double noise = 3)
      : original(unchanged()),
        truth(render(kWide, kHigh, change)),
        source(resize(original, kSmallWide, kSmallHigh, Filter::kBicubic)),
        reconstruction(noisy(source, 1, noise)),
        edit(noisy(render(kSmallWide, kSmallHigh, change, shift, zoom), 2, noise)) {}

  DetailedEdit run(const DetailOptions& options = {}, const Image* mask = nullptr) const {
    return keep_detail({original, source, reconstruction, edit, mask}, options);
  }
};

double psnr(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    sum += std::pow(double(a.pixels[i]) - b.pixels[i], 2);
  return 10 * std::log10(255.0 * 255.0 * double(a.pixels.size()) / std::max(sum, 1e-9));
}

bool equal_at(const Image& a, const Image& b, int x, int y) {
  return std::equal(a.at(x, y), a.at(x, y) + 3, b.at(x, y));
}

// The share of pixels that are the original's where the scene's point is `chosen`.
template <class Chosen>
double share_identical(const Image& image, const Image& original, Chosen chosen) {
  int all = 0, identical = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      if (!chosen((x + 0.5) / image.width, (y + 0.5) / image.width)) continue;
      ++all;
      identical += equal_at(image, original, x, y);
    }
  return double(identical) / std::max(all, 1);
}

TEST(Detail, NothingMeantIsNothingChanged) {
  const Case c(same);
  const DetailedEdit made = c.run();
  EXPECT_EQ(made.image, c.original);
  EXPECT_EQ(made.figures.kept, 100);
  EXPECT_TRUE(std::all_of(made.map.pixels.begin(), made.map.pixels.end(),
                          [](uint8_t v) { return v == kKept; }));
}

TEST(Detail, FindsShiftAndZoom) {
  for (const auto& change : {same, night}) {
    const Case c(change, 1.3, 1.006);
    const DetailFigures f = c.run().figures;
    EXPECT_NEAR(f.shift_x, 1.3, 0.15);
    EXPECT_NEAR(f.shift_y, -0.65, 0.15);
    EXPECT_NEAR(f.zoom, 1.006, 0.0025);  // 0.15 pixels at a side
  }
}

TEST(Detail, ALocalEditLeavesTheRestAlone) {
  const Case c(spot);
  const DetailedEdit made = c.run();
  const double six = 6.0 / kSmallWide;
  EXPECT_GE(
      share_identical(made.image, c.original, [](double u, double v) { return !in_spot(u, v); }),
      0.94);  // a pixel of 128 is much of the picture
  const auto far = [&](double u, double v) { return std::hypot(u - 0.3, v - 0.35) > 0.12 + six; };
  EXPECT_GE(share_identical(made.image, c.original, far), 0.995);
  EXPECT_GT(psnr(made.image, c.truth), 27);
  EXPECT_GT(made.figures.content, 3);
  EXPECT_LT(made.figures.content, 10);  // the spot alone is 6
  EXPECT_EQ(made.map.at(int(0.3 * kSmallWide), int(0.35 * kSmallWide))[0], kContent);
}

TEST(Detail, ANightKeepsTheOriginalsDetail) {
  const Case c(night);
  const DetailedEdit made = c.run();
  const Image plain = resize(c.edit, kWide, kHigh, Filter::kLanczos);
  EXPECT_GT(psnr(made.image, c.truth), 38);
  EXPECT_GT(psnr(made.image, c.truth), psnr(plain, c.truth) + 10);
  EXPECT_GT(made.figures.colour, 95);
}

// Through a VAE that errs by 6 levels: what is left of the old discs in what was painted there.
TEST(Detail, ARemovedObjectLeavesNoGhost) {
  const Case c([](double u, double v, Colour scene) { return v > 0.3 ? background(u, v) : scene; },
               0.8, 1.003, 6);
  const Image made = c.run().image;
  double ghost = 0, object = 0;
  for (size_t i = 0; i < made.pixels.size(); ++i) {
    const double was = double(c.original.pixels[i]) - c.truth.pixels[i];
    ghost += (double(made.pixels[i]) - c.truth.pixels[i]) * was, object += was * was;
  }
  EXPECT_LT(ghost / object, 0.07);  // 0.10 where only flat colour counts as gone
}

TEST(Detail, AMosaicIsTheModelsAlone) {
  const Case c([](double u, double v, Colour) {
    const auto middle = [](double x) { return (std::floor(16 * x) + 0.5) / 16; };
    return scene(middle(u), middle(v));
  });
  const DetailedEdit made = c.run();
  EXPECT_EQ(made.figures.content, 100);
  EXPECT_GT(psnr(made.image, resize(c.edit, kWide, kHigh, Filter::kLanczos)), 25);
}

// Half of the picture is darkened much, the rest less than what noise would hide.
TEST(Detail, AFaintPartOfAnEditOfTheWholePictureIsSeen) {
  const Change change = [](double u, double, Colour c) {
    const double gain = u < 0.5 ? 0.5 : 0.92;
    return Colour{gain * c[0], gain * c[1], gain * c[2]};
  };
  Case c(change, 0, 1);
  constexpr double kDeviation = 14;
  c.reconstruction = noisy(c.source, 1, kDeviation);
  c.edit = noisy(c.edit, 2, kDeviation);
  const DetailedEdit made = c.run();
  EXPECT_GT(made.figures.colour + made.figures.content, 95);
  EXPECT_GT(psnr(made.image, c.truth), 30);
}

TEST(Detail, TheMatteFollowsTheOriginalsColours) {
  constexpr int kSide = 32, kObject = 16, kFound = 17;  // found a pixel too wide
  Planes source(3, Plane(kSide, kSide, 40));
  Region changed(kSide, kSide);
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kFound; ++x) {
      if (x < kObject) source[0].at(x, y) = 200;
      changed.inside[size_t(y) * kSide + x] = 1;
    }
  const Planes matte = border_matte(changed, source, 1);
  const auto belongs = [&](int x, float red) {
    const size_t i = size_t(kSide / 2) * kSide + x;
    return matte[0].values[i] * red + (matte[1].values[i] + matte[2].values[i]) * 40 +
           matte[3].values[i];
  };
  EXPECT_GT(belongs(kObject - 1, 200), 0.9F);
  EXPECT_LT(belongs(kObject, 40), 0.5F);
  EXPECT_GT(belongs(kObject, 200), 0.8F);
  EXPECT_LT(belongs(kFound, 40), 0.3F);
  EXPECT_FLOAT_EQ(belongs(2, 200), 1);
  EXPECT_FLOAT_EQ(belongs(kSide - 2, 40), 0);
}

// What is painted is a copy of what is kept beside it: that is found, and nowhere else is looked.
TEST(Detail, LikePatchesAreFoundInWhatIsKept) {
  constexpr int kSide = 64, kMoved = 30;
  const Plane source = luma(to_planes(noisy(Image(kSide, kSide), 3, 60)));
  Plane edit = source;
  Region painted(kSide, kSide);
  for (int y = 20; y < 40; ++y)
    for (int x = 40; x < 60; ++x) {
      edit.at(x, y) = source.at(x - kMoved, y) + 25;  // its mean does not count
      painted.inside[size_t(y) * kSide + x] = 1;
    }
  const Region kept = complement(dilated(painted, 3));
  const Similar found = find_similar(edit, source, painted, kept);
  int right = 0;
  for (int y = 22; y < 38; ++y)
    for (int x = 42; x < 58; ++x) {
      const Similar::Match& m = found.at(x, y);
      ASSERT_TRUE(kept.inside[size_t(m.y) * kSide + m.x]);
      right += m.x == x - kMoved && m.y == y && m.weight == 1;
    }
  EXPECT_GT(right, 250);  // of 256
  EXPECT_EQ(found.at(0, 0).weight, 0);
  EXPECT_TRUE(find_similar(edit, source, Region(kSide, kSide), kept).matches.empty());
  EXPECT_TRUE(find_similar(edit, source, painted, Region(kSide, kSide)).matches.empty());
}

TEST(Detail, AMaskDecidesWhatMayChange) {
  const Case c(night);
  Image mask(kWide, kHigh, 1);
  for (int y = 0; y < kHigh; ++y) std::fill_n(mask.at(100, y), 200, uint8_t{255});
  const DetailedEdit made = c.run({}, &mask);
  int changed = 0;
  for (int y = 0; y < kHigh; ++y)
    for (int x = 0; x < kWide; ++x) {
      const bool kept = equal_at(made.image, c.original, x, y);
      if (x < 100 || x >= 300) {
        EXPECT_TRUE(kept) << x << " " << y;
      }
      changed += !kept;
    }
  EXPECT_GT(changed, kHigh * 190);
  EXPECT_EQ(made.map.at(0, 0)[0], kKept);
  EXPECT_NEAR(made.figures.kept, 100 * (1 - 200.0 / kWide), 2);

  DetailOptions soft;
  soft.feather = 20;
  const DetailedEdit blended = c.run(soft, &mask);
  EXPECT_FALSE(equal_at(blended.image, c.original, 90, 50));
  EXPECT_TRUE(equal_at(blended.image, c.original, 70, 50));
}

TEST(Detail, MoreToleranceKeepsMore) {
  const Case faint([](double, double, Colour c) { return Colour{c[0] + 7, c[1] + 7, c[2] + 5}; });
  DetailOptions options;
  options.tolerance = 0.5;
  EXPECT_LT(faint.run(options).figures.kept, 20);
  options.tolerance = 4;
  EXPECT_EQ(faint.run(options).image, faint.original);
}

TEST(Detail, NothingHangsOnTheThreads) {
  const Case c(spot);
  DetailOptions options;
  const Image one = c.run(options).image;
  options.threads = 3;
  EXPECT_EQ(c.run(options).image, one);
}

TEST(Detail, OneColour) {
  const Image original(300, 200), small(64, 48);
  EXPECT_EQ(keep_detail({original, small, small, small}).image, original);
  Image edit = small;
  std::fill(edit.pixels.begin(), edit.pixels.end(), uint8_t{90});
  const DetailedEdit made = keep_detail({original, small, small, edit});
  EXPECT_TRUE(std::all_of(made.image.pixels.begin(), made.image.pixels.end(),
                          [](uint8_t v) { return v == 90; }));
  EXPECT_EQ(made.figures.zoom, 1);
}

TEST(Detail, Panorama) {
  const Image original = render(2000, 20, same);
  const Image small = resize(original, 512, 16, Filter::kBicubic);
  EXPECT_EQ(keep_detail({original, small, noisy(small, 1), noisy(small, 2)}).image, original);
  const Image upright = render(20, 1500, same);
  const Image high = resize(upright, 16, 800, Filter::kBicubic);
  EXPECT_EQ(keep_detail({upright, high, noisy(high, 1), noisy(high, 2)}).image, upright);
}

TEST(Detail, SmallerThanTheModel) {
  const Image original = render(60, 45, same);
  const Image small = resize(original, 128, 96, Filter::kBicubic);
  EXPECT_EQ(keep_detail({original, small, noisy(small, 1), noisy(small, 2)}).image, original);
}

TEST(Detail, IsCancelledByItsProgress) {
  const Case c(night);
  DetailOptions options;
  double last = -1;
  options.on_progress = [&](double done) {
    EXPECT_GE(done, last);
    last = done;
  };
  c.run(options);
  EXPECT_DOUBLE_EQ(last, 1);
  options.on_progress = [&](double done) {
    if (done > 0.7) throw Interrupted("stopped");
  };
  EXPECT_THROW(c.run(options), Interrupted);
}

std::string complaint(const DetailInput& input, const DetailOptions& options = {}) {
  try {
    keep_detail(input, options);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

TEST(Detail, WrongInputsAreNamed) {
  const Image original(200, 100), small(64, 32), other(64, 48), grey(64, 32, 1), tiny(8, 4);
  EXPECT_NE(complaint({original, small, other, small})
                .find("the reconstruction is 64x48 pixels, expected the source's 64x32"),
            std::string::npos);
  EXPECT_NE(complaint({original, small, small, other}).find("the edit is 64x48"),
            std::string::npos);
  EXPECT_NE(complaint({original, grey, small, small}).find("the source has 1 channels"),
            std::string::npos);
  EXPECT_NE(complaint({original, tiny, tiny, tiny}).find("larger --width"), std::string::npos);
  EXPECT_NE(complaint({Image(0, 0), small, small, small}).find("the original has no pixels"),
            std::string::npos);
  EXPECT_NE(complaint({original, small, small, small, &grey})
                .find("the mask is 64x32 pixels, expected the original's 200x100"),
            std::string::npos);
  const Image black(200, 100, 1);
  EXPECT_NE(complaint({original, small, small, small, &black}).find("no white pixel"),
            std::string::npos);
  DetailOptions options;
  options.tolerance = 0;
  EXPECT_NE(complaint({original, small, small, small}, options).find("the tolerance is 0"),
            std::string::npos);
}

}  // namespace
}  // namespace icedit
