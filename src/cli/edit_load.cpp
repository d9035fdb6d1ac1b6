#include "cli/edit_load.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/output_names.h"

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
  if (!s.mask.empty()) {
    request.mask = read_mask(s.mask, read_);
    check_mask(*request.mask, {request.source.width, request.source.height}, s.mask, s.image);
  }
  const std::string shortage = memory_.shortage(request, half(request));
  if (!shortage.empty()) throw Error(ExitCode::kFailure, s.image + ": " + shortage);
  return request;
}

void JobLoader::expect_disk_space(const EditJob& job, const EditRequest& request) const {
  if (job.outputs[0] == kStandardOutput) return;
  const Size out =
      request.source_size ? Size{request.source.width, request.source.height} : half(request);
  const uint64_t wanted = (uint64_t(out.width) * out.height * 3 + (64 << 10)) * job.outputs.size();
  const uint64_t left = free_disk_bytes(job.outputs[0]);
  if (left >= wanted) return;
  throw IoError(str(job.outputs[0].string(), ": the disk has ", bytes_text(double(left)),
                    " left, the edit may need ", bytes_text(double(wanted)),
                    "; make room or give another place with -o"));
}

}  // namespace icedit::cli
