#include "data/transform.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "io/resize.h"

namespace icedit {
namespace {

constexpr int kNoiseShare = 32;  // of the height

Image half(const OpenedImage& picture, bool crop_noise, Size size) {
  const int height = picture.image.height;
  if (!crop_noise || height < kNoiseShare) return resize_to_rgb(picture, size.width, size.height);
  const OpenedImage cut = {
      crop(picture.image, 0, 0, picture.image.width, height - height / kNoiseShare),
      picture.nearest};
  return resize_to_rgb(cut, size.width, size.height);
}

template <class Draws>
PromptDraw draw(const RowRules& rules, size_t instructions, double drop_text_prob, Draws& draws) {
  PromptDraw drawn;
  if (rules.choose) drawn.choice = draws.choice(instructions);
  drawn.dropped = draws.random() < drop_text_prob;
  return drawn;
}

}  // namespace

HalfSizes HalfSizes::squares(int condition_size, int target_size) {
  return {{condition_size, condition_size}, {target_size, target_size}};
}

Image training_diptych(const EditSample& sample, const RowRules& rules, const HalfSizes& sizes) {
  Image diptych(2 * sizes.source.width, sizes.source.height);
  paste(half(sample.source, rules.crop_the_noise, sizes.source), diptych, 0);
  paste(half(sample.target, rules.crop_the_noise, sizes.target), diptych, sizes.source.width);
  return diptych;
}

Image training_mask(Size half) {
  Image mask(2 * half.width, half.height, 1);
  for (int y = 0; y < half.height; ++y)
    std::fill_n(mask.at(half.width, y), half.width, uint8_t(255));
  return mask;
}

PromptDraw draw_prompt(const RowRules& rules, size_t instructions, double drop_text_prob,
                       DrawStream& draws) {
  return draw(rules, instructions, drop_text_prob, draws);
}

PromptDraw draw_prompt(const RowRules& rules, size_t instructions, double drop_text_prob,
                       PythonRandom& draws) {
  return draw(rules, instructions, drop_text_prob, draws);
}

std::string description(const RowRules& rules, const std::vector<std::string>& instructions,
                        const PromptDraw& draw) {
  return draw.dropped ? rules.dropped : rules.prefix + instructions.at(draw.choice);
}

Tensor to_unit_tensor(const Image& image) {
  const auto bytes = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                   {image.height, image.width, image.channels}, at::kByte);
  return bytes.permute({2, 0, 1}).contiguous().to(at::kFloat).div(255);
}

}  // namespace icedit
