#pragma once
// A quick look at latents without the VAE: a linear map from a latent pixel to a colour, fitted on
// the picture at hand (its left half is known both as pixels and as latents), so it suits every
// VAE.
#include "base/tensor.h"
#include "io/image.h"

namespace icedit {

class LatentPreview {
 public:
  // latents [1, C, h, w] of the masked diptych; `diptych` its picture.
  LatentPreview(const Tensor& latents, const Image& diptych);

  // latents [1, C, h, w] -> a picture of w x h pixels.
  Image picture(const Tensor& latents) const;

 private:
  Tensor map_;  // [C + 1, 3]
};

}  // namespace icedit
