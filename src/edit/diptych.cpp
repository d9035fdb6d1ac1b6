#include "edit/diptych.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "edit/feather.h"
#include "edit/mask.h"

namespace icedit {

const char* const kPromptPrefix =
    "A diptych with two side-by-side images of the same scene. On the right, the scene is exactly "
    "the same as on the "
    "left but ";

namespace {

constexpr uint8_t kWhite = 255;
// Of a half, in pixels and in widths. A strip would keep the attention busy for hours; the
// published script knows no limit, so its own sizing is only kept from overflowing.
constexpr int kHighest = 16384, kHighestIcedit = 1 << 20, kMostWidths = 16;

int floor_to(int value, int multiple) {
  return value / multiple * multiple;
}

void expect_not_too_high(Size source, int width, double height, int most) {
  if (height <= most) return;
  throw UsageError(str("a picture of ", source.width, "x", source.height, " is ",
                       static_cast<int64_t>(height), " pixels high at width ", width,
                       "; expected at most ", most, ". Crop it, or edit a part of it (--region)"));
}

Image rounded_to(const Image& image, int multiple) {
  const int width = floor_to(image.width, multiple), height = floor_to(image.height, multiple);
  if (width < multiple || height < multiple) {
    throw UsageError(str("the diptych is ", image.width, "x", image.height,
                         " pixels, less than one token of ", multiple, "x", multiple,
                         "; give a larger --width"));
  }
  return resize(image, width, height, Filter::kLanczos);
}

}  // namespace

Size half_size(Size source, int width, Sizing sizing, int multiple) {
  if (width < 1) throw UsageError(str("width is ", width, ", expected at least ", multiple));
  if (sizing == Sizing::kIcedit) {
    if (source.width == width) return source;
    const double scale = static_cast<double>(width) / source.width;
    expect_not_too_high(source, width, source.height * scale, kHighestIcedit);
    const int height = static_cast<int>(source.height * scale) / 8 * 8;
    if (height < 8) {
      throw UsageError(str("a picture of ", source.width, "x", source.height, " is ", height,
                           " pixels high at width ", width,
                           "; expected at least 8. Use --sizing fit or a larger --width"));
    }
    return {width, height};
  }
  if (width % multiple != 0) {
    const int below = std::max(floor_to(width, multiple), multiple), above = below + multiple;
    throw UsageError(str("width is ", width, ", expected a multiple of ", multiple, " such as ",
                         below, " or ", above));
  }
  const double rows =
      static_cast<double>(source.height) * width / (static_cast<double>(multiple) * source.width);
  const double height = multiple * std::max(1.0, std::nearbyint(rows));
  expect_not_too_high(source, width, height, std::min(kHighest, kMostWidths * width));
  return {width, static_cast<int>(height)};
}

void check_mask(const Image& mask, Size source, const std::string& name,
                const std::string& picture) {
  if (Size{mask.width, mask.height} != source) {
    throw UsageError(str(name, " is ", mask.width, "x", mask.height, " pixels, expected ", picture,
                         "'s ", source.width, "x", source.height));
  }
  if (has_white(mask)) return;
  throw UsageError(str(name,
                       " has no white pixel, so it selects nothing: the edit goes where a mask is "
                       "white, and leaves what is black or transparent in it; paint white where "
                       "the edit belongs"));
}

Diptych paste_halves(const Image& left, const Image& right, const Image* selection) {
  const Size half = {left.width, left.height};
  Diptych diptych{Image(2 * half.width, half.height, 3), Image(2 * half.width, half.height, 1),
                  half};
  paste(left, diptych.image, 0);
  paste(right, diptych.image, half.width);
  Image all(half.width, half.height, 1);
  std::fill(all.pixels.begin(), all.pixels.end(), kWhite);
  paste(selection != nullptr ? *selection : all, diptych.mask, half.width);
  return diptych;
}

Diptych make_diptych(const Image& source, int width, Sizing sizing, Layout layout, int multiple,
                     const Image* mask) {
  const Size size = half_size({source.width, source.height}, width, sizing, multiple);
  const Image half = resize(source, size.width, size.height, Filter::kBicubic);
  if (mask == nullptr)
    return paste_halves(half, layout == Layout::kCopy ? half : Image(size.width, size.height));
  check_mask(*mask, {source.width, source.height}, "the mask");
  const Image selection = resize(*mask, size.width, size.height, Filter::kLanczos);
  if (!has_white(selection)) {
    throw UsageError(str("the mask's white is so small that nothing of it is left at ", size.width,
                         "x", size.height, " pixels, at which the model works; paint more white, ",
                         "or give a larger --width"));
  }
  return paste_halves(half, half, &selection);
}

Tensor to_unit_tensor(const Image& image) {
  const Tensor bytes = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                     {image.height, image.width, image.channels}, at::kByte);
  return bytes.permute({2, 0, 1}).contiguous().to(at::kFloat).div(255);
}

Tensor preprocess_image(const Image& image, int multiple) {
  return to_unit_tensor(rounded_to(image, multiple)).unsqueeze(0) * 2.0 - 1.0;
}

Tensor preprocess_mask(const Image& mask, int multiple) {
  return to_unit_tensor(rounded_to(mask, multiple)).unsqueeze(0).ge(0.5).to(at::kFloat);
}

Image postprocess_image(const Tensor& decoded) {
  const Tensor bytes = (decoded.to(at::kFloat) * 0.5 + 0.5)
                           .clamp(0, 1)
                           .mul(255.0)
                           .round()
                           .to(at::kByte)
                           .squeeze(0)
                           .permute({1, 2, 0})
                           .contiguous()
                           .cpu();
  Image image(static_cast<int>(bytes.size(1)), static_cast<int>(bytes.size(0)), 3);
  std::copy_n(bytes.const_data_ptr<uint8_t>(), image.pixels.size(), image.pixels.data());
  return image;
}

Image right_half(const Image& diptych, Size half, Sizing sizing) {
  if (sizing == Sizing::kIcedit) return crop(diptych, half.width, 0, 2 * half.width, half.height);
  return crop(diptych, diptych.width / 2, 0, diptych.width, diptych.height);
}

Image paste_outside(const Image& edited, const Image& source, const Image& mask, int feather) {
  const std::vector<float> weight = feather_weights(mask, feather);
  Image out = source;
  for (size_t i = 0; i < weight.size(); ++i) {
    const float w = weight[i];
    if (w <= 0) continue;
    for (int c = 0; c < 3; ++c) {
      const float blended = w * edited.pixels[3 * i + c] + (1 - w) * source.pixels[3 * i + c];
      out.pixels[3 * i + c] = static_cast<uint8_t>(std::lround(blended));
    }
  }
  return out;
}

}  // namespace icedit
