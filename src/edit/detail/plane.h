#pragma once
// Pictures as planes of floats, and the few filters that bringing an edit back to full size needs.
#include <functional>
#include <vector>

#include "io/image.h"

namespace icedit {

struct Plane {
  int width = 0, height = 0;
  std::vector<float> values;  // rows from the top

  Plane() = default;
  Plane(int w, int h, float value = 0) : width(w), height(h), values(size_t(w) * h, value) {}
  float* row(int y) { return values.data() + size_t(y) * width; }
  const float* row(int y) const { return values.data() + size_t(y) * width; }
  float& at(int x, int y) { return values[size_t(y) * width + x]; }
  float at(int x, int y) const { return values[size_t(y) * width + x]; }
};

using Planes = std::vector<Plane>;  // of one size; of a colour picture red, green, blue

// Runs task(0) ... task(count - 1) on so many threads. Tasks share nothing, so that no result hangs
// on their number. The first exception is thrown on.
void run_parallel(int count, int threads, const std::function<void(int)>& task);
// The same by blocks of rows: task(begin, end).
void run_rows(int rows, int threads, const std::function<void(int, int)>& task);

Planes to_planes(const Image& rgb);  // 0 ... 255
// BT.601's weights.
Plane luma(const Planes& rgb);
Planes cropped(const Planes& planes, int x0, int y0, int x1, int y1);

// Mean over the square of 2 radius + 1, as far as it lies in the picture.
Plane box_mean(const Plane& plane, int radius);
void box_means(Planes& planes, int radius, int threads);
// Gaussian of standard deviation sigma; borders are repeated. Above 3 pixels by three boxes.
Plane gaussian(const Plane& plane, double sigma);

// |gradient|, by Sobel / 8.
Plane sobel_magnitude(const Plane& plane);

inline float squared(float v) {
  return v * v;
}

// Bilinear, coordinates held inside.
inline float sample(const Plane& p, float x, float y) {
  x = x < 0 ? 0 : x > float(p.width - 1) ? float(p.width - 1) : x;
  y = y < 0 ? 0 : y > float(p.height - 1) ? float(p.height - 1) : y;
  const int x0 = int(x), y0 = int(y);
  const int x1 = x0 + 1 < p.width ? x0 + 1 : x0;
  const float fx = x - float(x0), fy = y - float(y0);
  const float* a = p.row(y0);
  const float* b = p.row(y0 + 1 < p.height ? y0 + 1 : y0);
  const float top = a[x0] + fx * (a[x1] - a[x0]), low = b[x0] + fx * (b[x1] - b[x0]);
  return top + fy * (low - top);
}

}  // namespace icedit
