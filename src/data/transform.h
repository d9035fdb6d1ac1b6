#pragma once
// From a row to what the model is trained on: the diptych [source | target], the mask of its right
// half, and the prompt. Source: the __getitem__ of the classes in ICEdit's train/src/train/data.py.
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/draws.h"
#include "data/python_random.h"
#include "edit/diptych.h"

namespace icedit {

// How large the halves become. As published, the target's square may be of another size: it is then
// cut off, or black is left, at the source's.
struct HalfSizes {
  Size source, target;
  static HalfSizes squares(int condition_size, int target_size);
};

// [source | target], with the whole right half to be changed.
Diptych training_diptych(const EditSample& sample, const RowRules& rules, const HalfSizes& sizes);

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

// All of a sample that takes time: reading, decoding, resizing. Nothing is drawn here.
struct PreparedSample : RowText {
  Diptych diptych;
  int64_t row = 0;
  std::vector<BadRow> bad;  // rows that were to stand here
};

// Throws DataError, NoInputError, IoError: the row cannot be read.
PreparedSample prepare(const EditDataset& dataset, int64_t row, const HalfSizes& sizes);

}  // namespace icedit
