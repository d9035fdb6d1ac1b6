#pragma once
// One edit, from a photo and a sentence to a photo. Where a reader of ICEdit starts.
//   source + instruction -> diptych and mask -> conditioning -> denoise -> decode -> right half
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "diffusion/denoise.h"
#include "diffusion/schedule.h"
#include "edit/conditioning.h"
#include "edit/detail/detail.h"
#include "edit/diptych.h"
#include "edit/local_edit.h"
#include "edit/residency.h"
#include "edit/speed.h"

namespace icedit {

struct EditRequest {
  Image source;
  std::string colour_profile;  // ICC, of the source; not looked at
  std::string instruction;
  std::string prefix = kPromptPrefix;         // of the prompt, before the instruction
  std::optional<PromptEmbeds> prompt_embeds;  // of that prompt, where it was encoded before
  std::optional<Image> mask;  // white = may change; of the source's size; implies Layout::kCopy
  int feather = 0;            // pixels over which the mask's edge is blended

  uint64_t seed = 0;
  int64_t num_images = 1;    // image i uses seed + i
  bool batch_noise = false;  // one [N, ...] draw instead, as diffusers' num_images_per_prompt
  NoiseOrder noise_order = NoiseOrder::kCurrent;

  // Unset: the model's defaults.
  std::optional<int64_t> width, steps, max_sequence_length;
  std::optional<double> guidance;
  Solver solver = Solver::kEuler;
  SpeedSettings speed;

  Sizing sizing = Sizing::kFit;
  Layout layout = Layout::kCopy;
  bool source_size = false;  // bring the edit back to the source's size
  // With it: whether what was not meant to change stays the source's (unset: yes), or all of the
  // edit is enlarged by Lanczos; and what counts as noise, times this (unset: 1).
  std::optional<bool> keep_detail;
  std::optional<double> detail_tolerance;

  // Only this part of the photo is edited: `source` and `mask` are it, `photo` is all.
  std::optional<Box> region;
  Image photo;
  Image with_alpha;  // RGBA of the photo where it has alpha; a full-size edit keeps it
  std::string exif;  // of the photo (io/image.h), for a full-size edit; not looked at
};

// check_speed of a request's speed, solver and steps (edit/speed.h).
void check_speed(const EditRequest& request, const ModelDefaults& defaults);

// What edits that are denoised together have in common, beside their sizes.
inline auto denoising_of(const EditRequest& r) {
  return std::tie(r.steps, r.guidance, r.solver, r.speed.reuse_left);
}

struct EditedImage {
  Image image;                 // the edit: RGB, or RGBA of a photo with alpha at full size
  std::string colour_profile;  // the source's: the model sees its values as they are
  std::string exif;            // the source's, of an edit at full size
  Image diptych;               // the pipeline's whole picture
  struct Detail {
    Image map;  // of the model's size: what was kept, recoloured, painted
    DetailFigures figures;
  };
  std::optional<Detail> detail;       // where the source's was kept
  std::optional<SpeedFigures> speed;  // where fewer calls were asked for
  uint64_t seed = 0;
};

inline constexpr const char* kDenoisingStage = "denoising";

struct EditHooks {
  // Asked before each stage and each block: throws to cancel the edit (nn/block.h).
  StopCheck stop;
  // Before each stage: "reading the instruction", "encoding the picture", "loading the transformer"
  // (where it is not there yet), kDenoisingStage, "decoding", "keeping the photo's detail" (where
  // that is asked for; of several images after each).
  std::function<void(const std::string& stage)> on_stage;
  // After each step of picture `image`, 0-based; of a batch (set_batch) once for all its pictures,
  // as of picture 0.
  std::function<void(int64_t image, int64_t step, int64_t steps)> on_step;
  // Every `preview_every` steps (0: never): a small picture of the right half by a linear map, or
  // decoded in full.
  std::function<void(const Image& preview, int64_t step)> on_preview;
  int64_t preview_every = 0;
  bool preview_full = false;
};

class Editor {
 public:
  Editor(ModelFiles files, ResidencyOptions options);
  // With components that others use too, and that outlive this; their policy is as it was set.
  explicit Editor(Residency& residency);

  // Edits one picture after the other; components are loaded once for all of them, text encoders
  // first. on_done is called with the request's index as soon as its pictures are there.
  void edit(const std::vector<EditRequest>& requests, const EditHooks& hooks,
            const std::function<void(size_t index, std::vector<EditedImage> images)>& on_done);
  std::vector<EditedImage> edit(const EditRequest& request, const EditHooks& hooks = {});

  // How many neighbouring requests edit() denoises at once, where nothing stands against it: their
  // diptychs are of one size, steps, guidance and text length are equal, each wants one image and
  // no previews. The pictures are those of one at a time up to rounding; the activations take that
  // many times the memory. 1 at first.
  void set_batch(int64_t batch) { batch_ = batch; }

  Residency& residency() { return residency_; }
  int token_pixels() const;  // of a transformer token's side: 16 for FLUX

 private:
  struct Prepared;
  void check(const EditRequest& request) const;
  Prepared prepare(const EditRequest& request);
  Schedule schedule(const EditRequest& request, const Prepared& prepared) const;
  DenoiseInputs inputs(const EditRequest& request, const Prepared& prepared, int64_t i) const;
  void denoise_images(const EditRequest& request, Prepared& prepared, const EditHooks& hooks);
  size_t end_of_batch(const std::vector<EditRequest>& requests,
                      const std::vector<Prepared>& prepared, size_t begin,
                      const EditHooks& hooks) const;
  void denoise_together(std::span<const EditRequest> requests, std::span<Prepared> prepared,
                        const EditHooks& hooks);
  void expect_finite(const Tensor& latents) const;
  EditedImage finish(const EditRequest& request, const Prepared& prepared, int64_t i,
                     const EditHooks& hooks);
  static void enlarge(const EditRequest& request, const Prepared& prepared, EditedImage& out);
  void keep_source_detail(const EditRequest& request, const Prepared& prepared,
                          const EditHooks& hooks, EditedImage& out);

  std::unique_ptr<Residency> own_;  // nullptr: it is another's
  Residency& residency_;
  SchedulerConfig scheduler_;
  int64_t batch_ = 1;
  std::optional<double> levels_per_latent_;  // edit/speed.h; measured when it is first needed
};

}  // namespace icedit
