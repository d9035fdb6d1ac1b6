#pragma once
// The diptych [source | right half] and its mask, and how sizes are chosen.
// Source: ICEdit's scripts/inference.py and gradio demo; diffusers' VaeImageProcessor.
#include <string>

#include "base/tensor.h"
#include "io/resize.h"

namespace icedit {

enum class Sizing {
  kFit,  // the nearest multiple of the patch in both directions, Pillow's bicubic, nothing cut off
  kIcedit  // the published script: height floored to 8; a picture of the right width is left alone
};
enum class Layout {
  kCopy,
  kBlack
};  // what stands in the right half before masking: no influence at strength 1

// The size of one half. `multiple`: pixels of a token (16 for FLUX). Throws UsageError when kFit's
// width is no multiple of it, or a picture so flat that nothing is left.
Size half_size(Size source, int width, Sizing sizing, int multiple);

struct Diptych {
  Image image;  // [source | right half], RGB
  Image mask;   // 255 where the model may change, 1 channel
  Size half;    // before the pipeline rounds it
};

// `right` of another size is cut off, or black is left. `selection`: the right half's mask,
// nullptr: all of it.
Diptych paste_halves(const Image& left, const Image& right, const Image* selection = nullptr);

// Throws UsageError for a mask of another size than the source, or without a white pixel. `name`:
// of the mask, `picture`: of the source, for the error.
void check_mask(const Image& mask, Size source, const std::string& name,
                const std::string& picture = "the picture");

// `mask`: white = may change, of the source's size, nullptr: the whole right half.
Diptych make_diptych(const Image& source, int width, Sizing sizing, Layout layout, int multiple,
                     const Image* mask = nullptr);

// torchvision's ToTensor: f32 in 0..1, [C, H, W], divided by 255 in f32.
Tensor to_unit_tensor(const Image& image);

// The pipeline's processors: Lanczos to multiples of `multiple`, then [1, 3, H, W] f32 in -1..1 and
// [1, 1, H, W] f32 of 0 and 1 (binarised at 0.5).
Tensor preprocess_image(const Image& image, int multiple);
Tensor preprocess_mask(const Image& mask, int multiple);

// decoded [1, 3, H, W] -> RGB; x 0.5 + 0.5, clamped, times 255, rounded half to even.
Image postprocess_image(const Tensor& decoded);

// The edit out of the pipeline's picture: kIcedit cuts with the size before rounding (black rows
// and all), as published.
Image right_half(const Image& diptych, Size half, Sizing sizing);

// `edited` where the mask is white, `source` elsewhere, blended smoothly over `feather` pixels
// outside the mask's edge. All of one size.
Image paste_outside(const Image& edited, const Image& source, const Image& mask, int feather);

extern const char* const kPromptPrefix;  // "A diptych with two side-by-side images ... but "

}  // namespace icedit
