#pragma once
// How much memory an edit will take, from headers and configs alone: for --dry-run, to choose what
// stays loaded, and to refuse what the system would kill.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edit/pipeline.h"

namespace icedit {

struct PartEstimate {
  Part part;
  std::string where, dtype;  // dtype: of most of its bytes
  int64_t parameters = 0;
  uint64_t stored = 0;       // bytes in the files
  uint64_t weights = 0;      // bytes that stay in memory
  bool mapped = false;       // the weights stay in the files and are converted at each use
  uint64_t copied = 0;       // of `weights`, what cannot be dropped and read again from the files
  uint64_t streamed = 0;     // bytes that are in memory only while they are used, block by block
  uint64_t activations = 0;  // about, at its peak; with what is streamed then
};

// The matrices of one block.
struct CallBytes {
  std::string path;
  uint64_t held = 0, stored = 0;  // as they are computed with; in the files
};
// Of the transformer, in their order, without the modulations'.
std::vector<CallBytes> transformer_blocks(const Residency& residency);

// The largest edit of a run: tokens of the diptych and of the text, pixels of the diptych, and of
// the photo where the edit comes back at its size; tokens whose keys and values some calls reuse
// (diffusion/left_reuse.h); and how many pictures are denoised together.
struct EditSize {
  int64_t image_tokens = 0, text_tokens = 0, pixels = 0, full_pixels = 0, kept_tokens = 0;
  int64_t together = 1;
  bool operator==(const EditSize&) const = default;
};

// The size at which this model makes the request's edit of a picture of that size (edit/diptych.h).
Size half_size(const Residency& residency, const EditRequest& request, Size source);
// `source`: of the photo.
EditSize edit_size(const Residency& residency, const EditRequest& request, Size half, Size source);
// Of a square photo.
EditSize usual_size(const Residency& residency, const EditRequest& request = {});
// The larger of both in each.
EditSize larger(const EditSize& a, const EditSize& b);

// Transformer, T5, CLIP and VAE. Opens the components; reads no weights.
std::vector<PartEstimate> estimate_parts(const Residency& residency, const EditSize& size);

// About, at the peak, without the program itself.
uint64_t peak_bytes(const std::vector<PartEstimate>& parts, Keep keep);

// The program without a model: its code and libtorch's, as far as an edit runs through them, and
// what the heap keeps of what was freed.
inline constexpr uint64_t kProgramBytes = uint64_t{200} << 20;
// The program, where a limit is to be kept: at full size up to 160 MiB more than the estimate were
// seen, while blocks of an int8 file are packed at their first use.
inline constexpr uint64_t kProgramAtMost = kProgramBytes + (uint64_t{200} << 20);
// What a limit is of: the whole process about, at the peak (`own`: of the program), or, of another
// device than the CPU, what the edit has in its memory.
uint64_t process_bytes(const Residency& residency, const EditSize& size,
                       uint64_t own = kProgramBytes);

// The flag that such a limit is given by.
const char* limit_flag(const Residency& residency);

// What bringing an edit back to the photo's size takes while the model is still there; 0 for none.
uint64_t full_size_bytes(const EditSize& size);

// The files of the adapters, and where products add them as much again (nn/low_rank.h).
uint64_t adapter_bytes(const Residency& residency);

// Whether edits fit into the memory, before any weight is loaded: within the limit, and on a CPU
// within what there is (nothing is known of a device's memory). Weights that stay in their files do
// not count, since the system can drop them.
class MemoryCheck {
 public:
  // `available`: bytes; unset: what the machine has now, its swap too.
  explicit MemoryCheck(const Residency& residency, std::optional<uint64_t> available = {});

  // Why this edit will not fit, as an error's text with a remedy that helps; "" when it may fit.
  std::string shortage(const EditRequest& request, Size half, Size source);

 private:
  uint64_t needed(const EditSize& size, Keep keep) const;
  std::string above_limit(const EditSize& size, Size half) const;
  std::string remedy(const EditRequest& request, Size half, Size source) const;

  const Residency& residency_;
  const uint64_t available_;
  EditSize fits_;  // the largest that is known to
};

// What should stay in memory: everything of a small model; for one picture, or where little memory
// is to be taken, one component at a time.
Keep choose_keep(const std::vector<PartEstimate>& parts, bool low_memory, bool several_pictures);

}  // namespace icedit
