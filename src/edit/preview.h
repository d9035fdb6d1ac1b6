#pragma once
// A quick look at latents without the VAE: a linear map from a latent pixel to a colour, fitted by
// least squares on pictures that are known both as pixels and as latents, so it suits every VAE.
#include <vector>

#include "base/tensor.h"
#include "io/image.h"

namespace icedit {

class Residency;

// Blocks of 64 colours over the whole cube, 8 x 8 blocks of `block` pixels. What an edit makes has
// colours that its source may lack, and a map that was fitted on the source alone knows nothing of
// them.
Image colour_chart(int block);

class LatentPreview {
 public:
  struct Example {
    Tensor latents;  // [1, C, h, w], normalised
    Image picture;   // of any size
  };
  // Each example has the same weight, however large.
  explicit LatentPreview(const std::vector<Example>& examples);

  // latents [1, C, h, w] -> a picture of w x h pixels.
  Image picture(const Tensor& latents) const;

 private:
  Tensor map_;  // [C + 1, 3]
};

// The chart of colours through the VAE.
LatentPreview::Example encode_chart(Residency& residency);

}  // namespace icedit
