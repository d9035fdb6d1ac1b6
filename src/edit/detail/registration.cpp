#include "edit/detail/registration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

namespace icedit {
namespace {

constexpr std::array<double, 2> kSigmas = {2, 1};  // of the luma, coarse to fine
constexpr double kAround = 12;                     // against which a slope is measured
constexpr double kAfar = 24;                       // of the width: larger than strokes and tiles
constexpr int kGlobalSteps = 12, kLocalSteps = 3, kIgnoredBorder = 4;
constexpr double kMostOfWidth = 0.02, kMostLocal = 4;
constexpr float kFieldRidge = 0.05f;
constexpr int kLanczos = 4, kPhases = 256;

Plane feature(const Plane& luma, double sigma) {
  Plane m = sobel_magnitude(gaussian(luma, sigma));
  const Plane around = gaussian(m, std::max(kAround, 3 * sigma));
  for (size_t i = 0; i < m.values.size(); ++i) m.values[i] /= around.values[i] + 1;
  return m;
}

float median(std::vector<float> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

float scale_of(const std::vector<float>& differences) {
  std::vector<float> sizes;
  const size_t every = std::max<size_t>(1, differences.size() / 20000);
  for (size_t i = 0; i < differences.size(); i += every) sizes.push_back(std::abs(differences[i]));
  return std::max(1.4826f * median(std::move(sizes)), 1e-4f);
}

// Solves a x = b, a symmetric; false where it is singular.
bool solve3(const std::array<double, 6>& a, const std::array<double, 3>& b,
            std::array<double, 3>& x) {
  const auto [xx, xy, xz, yy, yz, zz] = a;
  const double i0 = yy * zz - yz * yz, i1 = xz * yz - xy * zz, i2 = xy * yz - xz * yy;
  const double det = xx * i0 + xy * i1 + xz * i2;
  if (std::abs(det) < 1e-12 * (std::abs(xx * yy * zz) + 1e-30)) return false;
  const double i3 = xx * zz - xz * xz, i4 = xy * xz - xx * yz, i5 = xx * yy - xy * xy;
  x = {(i0 * b[0] + i1 * b[1] + i2 * b[2]) / det, (i1 * b[0] + i3 * b[1] + i4 * b[2]) / det,
       (i2 * b[0] + i4 * b[1] + i5 * b[2]) / det};
  return true;
}

struct Equations {
  std::array<double, 6> a = {};
  std::array<double, 3> b = {};
};

// One step of Gauss-Newton; how far it moved, in pixels.
double step_globally(const Plane& from, const Plane& to, GlobalFit& fit, int threads) {
  const int w = to.width, h = to.height;
  const int border = std::min({kIgnoredBorder, w / 8, h / 8});
  const Registration now{fit, {}, {}, 1};
  Plane difference(w, h, 0), valid(w, h, 0);
  run_rows(h, threads, [&](int begin, int end) {
    for (int y = std::max(begin, border); y < std::min(end, h - border); ++y)
      for (int x = border; x < w - border; ++x) {
        const auto [sx, sy] = now.at(x, y, w, h);
        if (sx < 0 || sy < 0 || sx > float(w - 1) || sy > float(h - 1)) continue;
        difference.at(x, y) = sample(from, sx, sy) - to.at(x, y);
        valid.at(x, y) = 1;
      }
  });
  std::vector<float> counted;
  for (size_t i = 0; i < valid.values.size(); ++i) {
    if (valid.values[i] > 0) counted.push_back(difference.values[i]);
  }
  const float wide = 2 * scale_of(counted);
  const double half = w / 2.0;
  std::vector<Equations> rows(h);
  run_rows(h, threads, [&](int begin, int end) {
    for (int y = std::max({begin, border, 1}); y < std::min({end, h - border, h - 1}); ++y)
      for (int x = std::max(border, 1); x < std::min(w - border, w - 1); ++x) {
        if (valid.at(x, y) == 0) continue;
        const float d = difference.at(x, y), gx = (to.at(x + 1, y) - to.at(x - 1, y)) / 2,
                    gy = (to.at(x, y + 1) - to.at(x, y - 1)) / 2;
        const double weight = 1 / (1 + double(d / wide) * (d / wide));
        const double gz = (gx * (x - (w - 1) / 2.0) + gy * (y - (h - 1) / 2.0)) / half;
        Equations& e = rows[y];
        e.a[0] += weight * gx * gx, e.a[1] += weight * gx * gy, e.a[2] += weight * gx * gz;
        e.a[3] += weight * gy * gy, e.a[4] += weight * gy * gz, e.a[5] += weight * gz * gz;
        e.b[0] += weight * gx * d, e.b[1] += weight * gy * d, e.b[2] += weight * gz * d;
      }
  });
  Equations all;
  for (const Equations& e : rows) {
    for (size_t i = 0; i < 6; ++i) all.a[i] += e.a[i];
    for (size_t i = 0; i < 3; ++i) all.b[i] += e.b[i];
  }
  std::array<double, 3> move;
  if (!solve3(all.a, all.b, move)) return 0;
  fit.shift_x -= move[0], fit.shift_y -= move[1], fit.zoom -= move[2] / half;
  return std::max({std::abs(move[0]), std::abs(move[1]), std::abs(move[2])});
}

bool is_too_far(const GlobalFit& fit, int w, int h) {
  const double grown = std::abs(fit.zoom - 1);
  const double x = std::abs(fit.shift_x) + grown * w / 2, y = std::abs(fit.shift_y) + grown * h / 2;
  return !(std::hypot(x, y) <= kMostOfWidth * w);  // nor NaN
}

GlobalFit fit(const Plane& edit_luma, const Plane& reconstruction_luma,
              std::span<const double> sigmas, int threads) {
  GlobalFit fit;
  for (const double sigma : sigmas) {
    Plane from, to;
    run_parallel(2, threads, [&](int i) {
      (i == 0 ? from : to) = feature(i == 0 ? edit_luma : reconstruction_luma, sigma);
    });
    for (int i = 0; i < kGlobalSteps; ++i) {
      if (step_globally(from, to, fit, threads) < 1e-3) break;
      if (is_too_far(fit, to.width, to.height)) return {};
    }
  }
  return fit;
}

// Means over cells of the grid.
Plane in_cells(const Plane& plane, int cell) {
  const int w = (plane.width + cell - 1) / cell, h = (plane.height + cell - 1) / cell;
  Plane out(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      float sum = 0;
      int count = 0;
      for (int v = y * cell; v < std::min((y + 1) * cell, plane.height); ++v)
        for (int u = x * cell; u < std::min((x + 1) * cell, plane.width); ++u, ++count)
          sum += plane.at(u, v);
      out.at(x, y) = sum / static_cast<float>(count);
    }
  return out;
}

// One step of Lucas and Kanade for every cell.
void step_locally(const Plane& from, const Plane& to, const Region& ignored, Registration& fit,
                  int threads) {
  const int w = to.width, h = to.height, cell = static_cast<int>(fit.cell);
  Plane now(w, h), weight(w, h, 0);
  run_rows(h, threads, [&](int begin, int end) {
    for (int y = begin; y < end; ++y)
      for (int x = 0; x < w; ++x) {
        const auto [sx, sy] = fit.at(x, y, w, h);
        now.at(x, y) = sample(from, sx, sy);
        const bool in = sx >= 0 && sy >= 0 && sx <= float(w - 1) && sy <= float(h - 1);
        if (in && (ignored.inside.empty() || !ignored.inside[size_t(y) * w + x]))
          weight.at(x, y) = now.at(x, y) - to.at(x, y);
      }
  });
  const float wide = 2 * scale_of(weight.values);
  for (float& d : weight.values) d = d == 0 ? 0 : 1 / (1 + (d / wide) * (d / wide));
  Planes p(5, Plane(w, h));
  run_rows(h, threads, [&](int begin, int end) {
    for (int y = begin; y < end; ++y)
      for (int x = 0; x < w; ++x) {
        const int l = std::max(x - 1, 0), r = std::min(x + 1, w - 1);
        const int u = std::max(y - 1, 0), d = std::min(y + 1, h - 1);
        const float k = weight.at(x, y), difference = now.at(x, y) - to.at(x, y);
        const float gx = (now.at(r, y) - now.at(l, y) + to.at(r, y) - to.at(l, y)) / 4;
        const float gy = (now.at(x, d) - now.at(x, u) + to.at(x, d) - to.at(x, u)) / 4;
        p[0].at(x, y) = k * gx * gx, p[1].at(x, y) = k * gx * gy, p[2].at(x, y) = k * gy * gy;
        p[3].at(x, y) = k * gx * difference, p[4].at(x, y) = k * gy * difference;
      }
  });
  run_parallel(5, threads, [&](int i) {
    p[i] = gaussian(in_cells(p[i], cell), std::max(1.0, w / 24.0 / cell));
  });
  double structure = 0;
  for (size_t i = 0; i < p[0].values.size(); ++i)
    structure += (p[0].values[i] + p[2].values[i]) / 2;
  const auto ridge =
      std::max(kFieldRidge * static_cast<float>(structure / double(p[0].values.size())), 1e-9f);
  for (size_t i = 0; i < p[0].values.size(); ++i) {
    const float a = p[0].values[i], b = p[1].values[i], c = p[2].values[i];
    float& u = fit.dx.values[i];
    float& v = fit.dy.values[i];
    const float p0 = a * u + b * v - p[3].values[i], p1 = b * u + c * v - p[4].values[i];
    const float det = (a + ridge) * (c + ridge) - b * b;
    const float nu = ((c + ridge) * p0 - b * p1) / det, nv = ((a + ridge) * p1 - b * p0) / det;
    const auto most = static_cast<float>(kMostLocal);
    u = std::clamp(nu, -most, most), v = std::clamp(nv, -most, most);
  }
}

// Weights of the 8 taps for a fraction of a pixel, times kPhases.
std::array<std::array<float, 2 * kLanczos>, kPhases + 1> lanczos_table() {
  std::array<std::array<float, 2 * kLanczos>, kPhases + 1> table;
  const auto sinc = [](double x) {
    return x == 0 ? 1.0 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
  };
  for (int phase = 0; phase <= kPhases; ++phase) {
    double sum = 0;
    std::array<double, 2 * kLanczos> taps;
    for (int i = 0; i < 2 * kLanczos; ++i) {
      const double x = i - (kLanczos - 1) - double(phase) / kPhases;
      sum += taps[i] = std::abs(x) < kLanczos ? sinc(x) * sinc(x / kLanczos) : 0;
    }
    for (int i = 0; i < 2 * kLanczos; ++i) table[phase][i] = static_cast<float>(taps[i] / sum);
  }
  return table;
}

}  // namespace

Registration::Point Registration::at(int x, int y, int width, int height) const {
  const double cx = (width - 1) / 2.0, cy = (height - 1) / 2.0;
  auto px = static_cast<float>(cx + global.zoom * (x - cx) + global.shift_x);
  auto py = static_cast<float>(cy + global.zoom * (y - cy) + global.shift_y);
  if (!dx.values.empty()) {
    const auto gx = static_cast<float>((x + 0.5) / cell - 0.5),
               gy = static_cast<float>((y + 0.5) / cell - 0.5);
    px += sample(dx, gx, gy), py += sample(dy, gx, gy);
  }
  return {px, py};
}

GlobalFit fit_globally(const Plane& edit_luma, const Plane& reconstruction_luma, int threads) {
  return fit(edit_luma, reconstruction_luma, kSigmas, threads);
}

GlobalFit fit_from_afar(const Plane& edit_luma, const Plane& reconstruction_luma, int threads) {
  const std::array<double, 1> sigma = {edit_luma.width / kAfar};
  return fit(edit_luma, reconstruction_luma, sigma, threads);
}

Registration fit_locally(const Plane& edit_luma, const Plane& reconstruction_luma,
                         const GlobalFit& global, const Region& ignored, int threads) {
  const int w = edit_luma.width, h = edit_luma.height;
  Registration fit{global, {}, {}, std::max(1.0, std::round(w / 128.0))};
  const int cell = static_cast<int>(fit.cell);
  fit.dx = fit.dy = Plane((w + cell - 1) / cell, (h + cell - 1) / cell);
  for (const double sigma : kSigmas) {
    Plane from, to;
    run_parallel(2, threads, [&](int i) {
      (i == 0 ? from : to) = feature(i == 0 ? edit_luma : reconstruction_luma, sigma);
    });
    for (int i = 0; i < kLocalSteps; ++i) step_locally(from, to, ignored, fit, threads);
  }
  return fit;
}

Planes warped(const Planes& edit, const Registration& registration, int threads) {
  static const auto table = lanczos_table();
  const int w = edit[0].width, h = edit[0].height;
  Planes out(3, Plane(w, h));
  run_rows(h, threads, [&](int begin, int end) {
    for (int y = begin; y < end; ++y)
      for (int x = 0; x < w; ++x) {
        auto [sx, sy] = registration.at(x, y, w, h);
        sx = std::clamp(sx, 0.0f, float(w - 1)), sy = std::clamp(sy, 0.0f, float(h - 1));
        const int x0 = int(sx), y0 = int(sy);
        const auto& across = table[std::lround((sx - float(x0)) * kPhases)];
        const auto& down = table[std::lround((sy - float(y0)) * kPhases)];
        std::array<float, 3> sum = {};
        for (int j = 0; j < 2 * kLanczos; ++j) {
          const size_t row = size_t(std::clamp(y0 + j - kLanczos + 1, 0, h - 1)) * w;
          std::array<float, 3> line = {};
          for (int i = 0; i < 2 * kLanczos; ++i) {
            const size_t at = row + std::clamp(x0 + i - kLanczos + 1, 0, w - 1);
            for (size_t c = 0; c < 3; ++c) line[c] += across[i] * edit[c].values[at];
          }
          for (size_t c = 0; c < 3; ++c) sum[c] += down[j] * line[c];
        }
        for (size_t c = 0; c < 3; ++c) out[c].at(x, y) = std::clamp(sum[c], 0.0f, 255.0f);
      }
  });
  return out;
}

Rectangle covered(const Registration& registration, int width, int height) {
  Rectangle r = {0, 0, width, height};
  const auto outside = [&](int x, int y) {
    const auto [sx, sy] = registration.at(x, y, width, height);
    return std::array<bool, 4>{sx<-0.5f, sy<-0.5f, sx> float(width) - 0.5f, sy> float(height) -
                               0.5f};
  };
  const int most_x = width / 4, most_y = height / 4;
  for (int y = 0; y < height; ++y) {
    while (r.x0 < most_x && outside(r.x0, y)[0]) ++r.x0;
    while (width - r.x1 < most_x && outside(r.x1 - 1, y)[2]) --r.x1;
  }
  for (int x = 0; x < width; ++x) {
    while (r.y0 < most_y && outside(x, r.y0)[1]) ++r.y0;
    while (height - r.y1 < most_y && outside(x, r.y1 - 1)[3]) --r.y1;
  }
  return r;
}

}  // namespace icedit
