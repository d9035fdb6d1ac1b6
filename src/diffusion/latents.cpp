#include "diffusion/latents.h"

#include <ATen/ATen.h>

namespace icedit {

Tensor pack_latents(const Tensor& latents) {
  const int64_t b = latents.size(0), c = latents.size(1), h = latents.size(2) / 2,
                w = latents.size(3) / 2;
  return latents.reshape({b, c, h, 2, w, 2}).permute({0, 2, 4, 1, 3, 5}).reshape({b, h * w, c * 4});
}

Tensor unpack_latents(const Tensor& packed, int64_t h, int64_t w) {
  const int64_t b = packed.size(0), c = packed.size(2) / 4;
  return packed.reshape({b, h / 2, w / 2, c, 2, 2})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape({b, c, h, w});
}

Tensor pack_mask(const Tensor& mask, int64_t f) {
  const int64_t b = mask.size(0), h = mask.size(2) / f, w = mask.size(3) / f;
  const Tensor cells =
      mask.reshape({b, h, f, w, f}).permute({0, 2, 4, 1, 3}).reshape({b, f * f, h, w});
  return pack_latents(cells);
}

Tensor image_ids(int64_t h, int64_t w) {
  Tensor ids = at::zeros({h / 2, w / 2, 3}, at::kFloat);
  ids.select(2, 1).copy_(at::arange(h / 2, at::kFloat).unsqueeze(1).expand({h / 2, w / 2}));
  ids.select(2, 2).copy_(at::arange(w / 2, at::kFloat).unsqueeze(0).expand({h / 2, w / 2}));
  return ids.reshape({-1, 3});
}

Tensor text_ids(int64_t tokens) {
  return at::zeros({tokens, 3}, at::kFloat);
}

}  // namespace icedit
