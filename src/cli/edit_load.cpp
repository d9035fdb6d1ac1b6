#include "cli/edit_load.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/output_names.h"
#include "edit/mask.h"
#include "io/files.h"

namespace icedit::cli {

JobLoader::JobLoader(const ReadOptions& read, const Residency& residency)
    : read_(read), residency_(residency), memory_(residency) {}

Size JobLoader::half(const EditRequest& request) const {
  const auto multiple = static_cast<int>(2 * residency_.vae_config().downscale());
  const int64_t width = request.width.value_or(residency_.files().defaults().width);
  return half_size({request.source.width, request.source.height}, static_cast<int>(width),
                   request.sizing, multiple);
}

EditRequest JobLoader::load(const EditJob& job) {
  const EditSettings& s = job.settings;
  EditRequest request = s.request;
  request.seed = *s.seed;
  StoredPicture picture = read_picture(s.image, read_);
  request.source = std::move(picture.image);
  request.colour_profile = std::move(picture.profile);
  if (picture.frames > 1) {
    log::warn(str(s.image, " is an animation of ", picture.frames, " frames; the first is edited"));
  }
  if (!s.mask.empty()) load_mask(s, request);
  const std::string shortage = memory_.shortage(request, half(request));
  if (!shortage.empty()) throw Error(ExitCode::kFailure, s.image + ": " + shortage);
  return request;
}

void JobLoader::load_mask(const EditSettings& s, EditRequest& request) const {
  ReadOptions with_alpha = read_;
  with_alpha.keep_alpha = true;
  if (is_erased_copy(read_image(s.mask, with_alpha), request.source)) {
    log::warn(str(s.mask, " is a copy of ", s.image,
                  " with a transparent hole, as APIs take it that edit where alpha is 0; here ",
                  "white is edited and transparent is not: save the hole as white on black"));
  }
  request.mask = read_mask(s.mask, read_);
  check_mask(*request.mask, {request.source.width, request.source.height}, s.mask, s.image);
  const Size size = half(request);
  if (has_white(resize(*request.mask, size.width, size.height, Filter::kLanczos))) return;
  throw UsageError(str(s.mask, ": so little of it is white that nothing is left at ", size.width,
                       "x", size.height, " pixels, at which the model works; paint more white, ",
                       "or give a larger --width"));
}

void JobLoader::expect_disk_space(const EditJob& job, const EditRequest& request,
                                  const EditOptions& options) const {
  if (job.outputs[0] == kStandardOutput) return;
  const auto bytes_of = [](int64_t w, int64_t h) { return uint64_t(w) * h * 3 + (64 << 10); };
  const Size edit = half(request);
  uint64_t wanted = request.source_size ? bytes_of(request.source.width, request.source.height)
                                        : bytes_of(edit.width, edit.height);
  if (options.preview_every > 0) {
    const int64_t steps = request.steps.value_or(residency_.files().defaults().num_inference_steps);
    const int64_t smaller = options.preview_full ? 1 : residency_.vae_config().downscale();
    wanted += uint64_t(steps / options.preview_every) *
              bytes_of(edit.width / smaller, edit.height / smaller);
  }
  wanted *= job.outputs.size();
  const uint64_t left = free_disk_bytes(job.outputs[0]);
  if (left >= wanted) return;
  throw IoError(str(job.outputs[0].string(), ": the disk has ", bytes_text(double(left)),
                    " left, the edit ", options.preview_every > 0 ? "and its previews " : "",
                    "may need ", bytes_text(double(wanted)),
                    "; make room or give another place with -o"));
}

}  // namespace icedit::cli
