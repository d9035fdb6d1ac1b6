#pragma once
// How close an edit comes to the wanted picture, from pixels alone.
#include <optional>
#include <string>

#include "io/image.h"

namespace icedit {

// As MagicBrush's evaluation: the result is brought to the target's size (bicubic), channels are
// scaled to 0..1. Source: evaluation/image_eval.py of the MagicBrush repository.
struct PairMetrics {
  double l1 = 0;    // mean absolute difference
  double l2 = 0;    // mean squared difference
  double psnr = 0;  // dB of l2; 100 at most, which equal pictures get
};
PairMetrics compare(const Image& result, const Image& target);

enum class EditKind {
  kLocal,  // what should change is where source and target differ
  kStyle   // everything changes
};
// kStyle for a task whose name begins with "style".
EditKind kind_of(const std::string& task);

// Whether the edit was made, by the rule of models/nano/README.md. All at the target's size, values
// 0..255.
struct Judgement {
  // mean |result - target| / mean |source - target| over the pixels that should change: 0 is the
  // target, 1 as far as the source. They are those that differ by more than 20 in some channel; of
  // a style all.
  double change_left = 0;
  double spill = 0;  // mean |result - source| over the others
  // change_left < 0.5 and spill < 15; for a style change_left < 0.4. Nothing where source and
  // target differ nowhere, so that there is no edit to judge.
  std::optional<bool> success;
};
Judgement judge(const Image& source, const Image& result, const Image& target, EditKind kind);

}  // namespace icedit
