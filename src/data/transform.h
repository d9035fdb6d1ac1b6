#pragma once
// From a row to what the model is trained on: the diptych [source | target], the mask of its right
// half, and the prompt. Source: the __getitem__ of the classes in ICEdit's train/src/train/data.py.
#include <string>
#include <vector>

#include "base/tensor.h"
#include "data/dataset.h"
#include "data/draws.h"
#include "data/python_random.h"

namespace icedit {

// How large the halves become. As published, the target's square may be of another size: it is then
// cut off, or black is left, at the source's.
struct HalfSizes {
  Size source, target;
  static HalfSizes squares(int condition_size, int target_size);
};

// [source | target], twice the source's width. RGB.
Image training_diptych(const EditSample& sample, const RowRules& rules, const HalfSizes& sizes);
// 255 in the right half. 1 channel, of the diptych's size.
Image training_mask(Size half);

// What is drawn for a sample, in the published order: the instruction, then whether it is dropped.
struct PromptDraw {
  size_t choice = 0;
  bool dropped = false;
};
PromptDraw draw_prompt(const RowRules& rules, size_t instructions, double drop_text_prob,
                       DrawStream& draws);
PromptDraw draw_prompt(const RowRules& rules, size_t instructions, double drop_text_prob,
                       PythonRandom& draws);

// The whole prompt.
std::string description(const RowRules& rules, const std::vector<std::string>& instructions,
                        const PromptDraw& draw);

// torchvision's ToTensor: f32 in 0..1, [C, H, W], divided by 255.
Tensor to_unit_tensor(const Image& image);

}  // namespace icedit
