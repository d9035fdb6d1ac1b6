#include "edit/detail/plane.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <thread>

namespace icedit {
namespace {

constexpr double kExactSigma = 3;  // above, a kernel is long and three boxes are near enough

void box_row(const float* from, float* to, int width, int radius) {
  double sum = 0;
  const int r = std::min(radius, width - 1);
  for (int x = 0; x < r; ++x) sum += from[x];
  for (int x = 0; x < width; ++x) {
    if (x + r < width) sum += from[x + r];
    if (x - r - 1 >= 0) sum -= from[x - r - 1];
    const int count = std::min(x + r, width - 1) - std::max(x - r, 0) + 1;
    to[x] = static_cast<float>(sum / count);
  }
}

std::vector<float> gaussian_kernel(double sigma) {
  const int radius = std::max(1, static_cast<int>(std::ceil(3 * sigma)));
  std::vector<float> kernel(2 * radius + 1);
  double sum = 0;
  for (int i = -radius; i <= radius; ++i) sum += std::exp(-0.5 * i * i / (sigma * sigma));
  for (int i = -radius; i <= radius; ++i)
    kernel[i + radius] = static_cast<float>(std::exp(-0.5 * i * i / (sigma * sigma)) / sum);
  return kernel;
}

Plane convolve(const Plane& plane, const std::vector<float>& kernel) {
  const int w = plane.width, h = plane.height, r = static_cast<int>(kernel.size() / 2);
  Plane out(w, h);
  std::vector<float> line(w + 2 * r);
  for (int y = 0; y < h; ++y) {
    std::fill(line.begin(), line.end(), 0.0f);
    float* middle = line.data() + r;
    for (int i = -r; i <= r; ++i) {  // down first, a row at a time: it runs as vectors
      const float* row = plane.row(std::clamp(y + i, 0, h - 1));
      const float weight = kernel[i + r];
      for (int x = 0; x < w; ++x) middle[x] += weight * row[x];
    }
    std::fill_n(line.data(), r, middle[0]);
    std::fill_n(middle + w, r, middle[w - 1]);
    float* to = out.row(y);
    for (int i = 0; i <= 2 * r; ++i) {
      const float weight = kernel[i];
      for (int x = 0; x < w; ++x) to[x] += weight * line[x + i];
    }
  }
  return out;
}

}  // namespace

void run_parallel(int count, int threads, const std::function<void(int)>& task) {
  if (threads < 2 || count < 2) {
    for (int i = 0; i < count; ++i) task(i);
    return;
  }
  std::atomic<int> next = 0;
  std::vector<std::exception_ptr> errors(std::min(threads, count));
  const auto work = [&](size_t thread) {
    try {
      for (int i = next++; i < count; i = next++) task(i);
    } catch (...) {
      errors[thread] = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t t = 1; t < errors.size(); ++t) others.emplace_back(work, t);
    work(0);
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

void run_rows(int rows, int threads, const std::function<void(int, int)>& task) {
  constexpr int kBlock = 32;
  run_parallel((rows + kBlock - 1) / kBlock, threads,
               [&](int i) { task(i * kBlock, std::min(rows, (i + 1) * kBlock)); });
}

Planes to_planes(const Image& rgb) {
  Planes planes(3, Plane(rgb.width, rgb.height));
  for (size_t i = 0; i < rgb.pixels.size() / 3; ++i)
    for (size_t c = 0; c < 3; ++c) planes[c].values[i] = rgb.pixels[3 * i + c];
  return planes;
}

Plane luma(const Planes& rgb) {
  Plane out(rgb[0].width, rgb[0].height);
  for (size_t i = 0; i < out.values.size(); ++i)
    out.values[i] =
        0.299f * rgb[0].values[i] + 0.587f * rgb[1].values[i] + 0.114f * rgb[2].values[i];
  return out;
}

Planes cropped(const Planes& planes, int x0, int y0, int x1, int y1) {
  Planes out;
  for (const Plane& plane : planes) {
    out.emplace_back(x1 - x0, y1 - y0);
    for (int y = y0; y < y1; ++y) std::copy_n(plane.row(y) + x0, x1 - x0, out.back().row(y - y0));
  }
  return out;
}

Plane box_mean(const Plane& plane, int radius) {
  const int w = plane.width, h = plane.height, r = std::min(radius, h - 1);
  Plane out(w, h);
  std::vector<double> sum(w);
  std::vector<float> mean(w);
  const auto add = [&](int y) {
    const float* row = plane.row(y);
    for (int x = 0; x < w; ++x) sum[x] += row[x];
  };
  for (int y = 0; y < r; ++y) add(y);
  for (int y = 0; y < h; ++y) {
    if (y + r < h) add(y + r);
    if (y - r - 1 >= 0) {
      const float* row = plane.row(y - r - 1);
      for (int x = 0; x < w; ++x) sum[x] -= row[x];
    }
    const double share = 1.0 / (std::min(y + r, h - 1) - std::max(y - r, 0) + 1);
    for (int x = 0; x < w; ++x) mean[x] = static_cast<float>(sum[x] * share);
    box_row(mean.data(), out.row(y), w, radius);
  }
  return out;
}

void box_means(Planes& planes, int radius, int threads) {
  run_parallel(static_cast<int>(planes.size()), threads,
               [&](int i) { planes[i] = box_mean(planes[i], radius); });
}

Plane gaussian(const Plane& plane, double sigma) {
  if (sigma <= kExactSigma) return convolve(plane, gaussian_kernel(sigma));
  // Three boxes of radius r have the variance r (r + 1).
  const int radius = static_cast<int>(std::lround((std::sqrt(1 + 4 * sigma * sigma) - 1) / 2));
  return box_mean(box_mean(box_mean(plane, radius), radius), radius);
}

Plane sobel_magnitude(const Plane& plane) {
  const int w = plane.width, h = plane.height;
  Plane out(w, h);
  for (int y = 0; y < h; ++y) {
    const float* a = plane.row(std::max(y - 1, 0));
    const float* b = plane.row(y);
    const float* c = plane.row(std::min(y + 1, h - 1));
    float* to = out.row(y);
    for (int x = 0; x < w; ++x) {
      const int l = std::max(x - 1, 0), r = std::min(x + 1, w - 1);
      const float gx = a[r] - a[l] + 2 * (b[r] - b[l]) + c[r] - c[l];
      const float gy = c[l] - a[l] + 2 * (c[x] - a[x]) + c[r] - a[r];
      to[x] = std::sqrt(gx * gx + gy * gy) / 8;
    }
  }
  return out;
}

}  // namespace icedit
