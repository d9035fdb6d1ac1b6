#pragma once
// Latents as the transformer sees them: 2 x 2 patches as tokens, and where each token stands.
#include <cstdint>

#include "base/tensor.h"

namespace icedit {

// [B, C, h, w] -> [B, h/2 * w/2, 4C]; h and w even. A token holds its patch channel by channel.
Tensor pack_latents(const Tensor& latents);
// The inverse for latents of h x w.
Tensor unpack_latents(const Tensor& packed, int64_t h, int64_t w);

// mask [B, 1, H, W] (1 may change) -> [B, tokens, 4 f^2]: each latent pixel's f x f mask pixels
// become channels, then packed.
Tensor pack_mask(const Tensor& mask, int64_t downscale);

// [h/2 * w/2, 3] f32: (0, row, column) of each token, for latents of h x w.
Tensor image_ids(int64_t h, int64_t w);
Tensor text_ids(int64_t tokens);  // [tokens, 3] zeros

}  // namespace icedit
