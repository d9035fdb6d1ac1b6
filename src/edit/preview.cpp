#include "edit/preview.h"

#include <ATen/ATen.h>

#include "edit/diptych.h"
#include "io/resize.h"

namespace icedit {
namespace {

constexpr double kRidge = 1e-3;  // keeps the fit tame on small or flat pictures

// [1, C, h, w] -> [h w, C + 1] f32 with a column of ones.
Tensor rows(const Tensor& latents) {
  const Tensor flat = latents.to(at::kCPU, at::kFloat).squeeze(0).flatten(1).transpose(0, 1);
  return at::cat({flat, at::ones({flat.size(0), 1})}, 1);
}

}  // namespace

LatentPreview::LatentPreview(const Tensor& latents, const Image& diptych) {
  const int64_t h = latents.size(2), half = latents.size(3) / 2;
  const Image left = crop(diptych, 0, 0, diptych.width / 2, diptych.height);
  const Image small = resize(left, static_cast<int>(half), static_cast<int>(h), Filter::kBilinear);
  const Tensor colours =
      at::from_blob(const_cast<uint8_t*>(small.pixels.data()), {h * half, 3}, at::kByte)
              .to(at::kFloat) /
          127.5 -
      1;
  const Tensor x = rows(latents.narrow(3, 0, half));
  const Tensor gram = x.t().matmul(x) + kRidge * static_cast<double>(h * half) * at::eye(x.size(1));
  map_ = at::linalg_solve(gram, x.t().matmul(colours));
}

Image LatentPreview::picture(const Tensor& latents) const {
  const Tensor colours =
      rows(latents).matmul(map_).t().reshape({1, 3, latents.size(2), latents.size(3)});
  return postprocess_image(colours);
}

}  // namespace icedit
