#include "data/transform.h"

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

Diptych training_diptych(const EditSample& sample, const RowRules& rules, const HalfSizes& sizes) {
  return paste_halves(half(sample.source, rules.crop_the_noise, sizes.source),
                      half(sample.target, rules.crop_the_noise, sizes.target));
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

PreparedSample prepare(const EditDataset& dataset, int64_t row, const HalfSizes& sizes) {
  const EditSample sample = decode(dataset.read(row));
  return {sample, training_diptych(sample, dataset.rules(row), sizes), row, {}};
}

}  // namespace icedit
