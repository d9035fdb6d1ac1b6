#include "edit/preview.h"

#include <ATen/ATen.h>

#include "edit/diptych.h"
#include "edit/residency.h"
#include "io/resize.h"

namespace icedit {
namespace {

constexpr double kRidge = 1e-3;  // keeps the fit tame on small or flat pictures
constexpr int kLevels = 4;       // of a channel in the chart
constexpr int kBlocks = 8;       // in both directions: kLevels^3 in all

// [1, C, h, w] -> [h w, C + 1] f32 with a column of ones.
Tensor rows(const Tensor& latents) {
  const Tensor flat = latents.to(at::kCPU, at::kFloat).squeeze(0).flatten(1).transpose(0, 1);
  return at::cat({flat, at::ones({flat.size(0), 1})}, 1);
}

// [h w, 3] in -1..1: the picture at the latents' size.
Tensor colours_at(const Image& picture, int64_t h, int64_t w) {
  const Image small = resize(picture, static_cast<int>(w), static_cast<int>(h), Filter::kBilinear);
  auto* pixels = const_cast<uint8_t*>(small.pixels.data());
  return at::from_blob(pixels, {h * w, 3}, at::kByte).to(at::kFloat) / 127.5 - 1;
}

}  // namespace

Image colour_chart(int block) {
  constexpr int kStep = 255 / (kLevels - 1);
  Image chart(kBlocks * block, kBlocks * block);
  for (int y = 0; y < chart.height; ++y) {
    for (int x = 0; x < chart.width; ++x) {
      const int i = y / block * kBlocks + x / block;
      const int levels[] = {i % kLevels, i / kLevels % kLevels, i / (kLevels * kLevels)};
      for (int c = 0; c < 3; ++c) chart.at(x, y)[c] = static_cast<uint8_t>(levels[c] * kStep);
    }
  }
  return chart;
}

LatentPreview::LatentPreview(const std::vector<Example>& examples) {
  Tensor gram, right;
  for (const auto& [latents, picture] : examples) {
    const Tensor x = rows(latents);
    const auto weight = 1.0 / static_cast<double>(x.size(0));
    const Tensor g = x.t().matmul(x) * weight;
    const Tensor r = x.t().matmul(colours_at(picture, latents.size(2), latents.size(3))) * weight;
    gram = gram.defined() ? gram + g : g;
    right = right.defined() ? right + r : r;
  }
  map_ = at::linalg_solve(gram + kRidge * at::eye(gram.size(0)), right);
}

Image LatentPreview::picture(const Tensor& latents) const {
  const Tensor colours =
      rows(latents).matmul(map_).t().reshape({1, 3, latents.size(2), latents.size(3)});
  return postprocess_image(colours);
}

LatentPreview::Example encode_chart(Residency& residency) {
  const int64_t scale = residency.vae_config().downscale();
  const Image chart = colour_chart(static_cast<int>(2 * scale));  // blocks of 2 x 2 latents
  const Tensor pixels = preprocess_image(chart, static_cast<int>(scale));
  return {normalise_latents(residency.vae().encode(pixels).mean, residency.vae_config()), chart};
}

}  // namespace icedit
