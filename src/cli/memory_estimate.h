#pragma once
// How much memory an edit will take, from headers and configs alone: for --dry-run, and to choose
// what stays loaded.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "edit/residency.h"

namespace icedit::cli {

struct PartEstimate {
  Part part;
  std::string where, dtype;  // dtype: of most of its bytes
  int64_t parameters = 0;
  uint64_t stored = 0;       // bytes in the files
  uint64_t weights = 0;      // bytes in memory
  bool mapped = false;       // the weights stay in the files and are converted at each use
  uint64_t activations = 0;  // about, at its peak
};

// The largest edit of a run: tokens of the diptych and of the text, pixels of the diptych.
struct EditSize {
  int64_t image_tokens = 0, text_tokens = 0, pixels = 0;
};

// Transformer, T5, CLIP and VAE. Opens the components; reads no weights.
std::vector<PartEstimate> estimate_parts(const Residency& residency, const EditSize& size);

// About, at the peak, without the program itself (some 300 MiB).
uint64_t peak_bytes(const std::vector<PartEstimate>& parts, Keep keep);

// What should stay in memory: everything of a small model; for one picture, or with --low-memory,
// one component at a time.
Keep choose_keep(const std::vector<PartEstimate>& parts, bool low_memory, bool several_pictures);

}  // namespace icedit::cli
