#include "edit/request_reader.h"

#include "base/error.h"
#include "base/log.h"
#include "edit/mask.h"

namespace icedit {

namespace {

// Of the photo, where only a region of it is edited.
Size full_size(const EditRequest& request) {
  const Image& whole = request.region ? request.photo : request.source;
  return {whole.width, whole.height};
}

}  // namespace

RequestReader::RequestReader(const ReadOptions& read, const Residency& residency)
    : read_(read), residency_(residency), memory_(residency) {}

Size RequestReader::half(const EditRequest& request) const {
  return half_size(residency_, request, {request.source.width, request.source.height});
}

EditRequest RequestReader::read(const EditSettings& settings) {
  const std::string source = read_file(settings.image);
  const std::string mask = settings.mask.empty() ? "" : read_file(settings.mask);
  return read(settings, as_bytes(source), as_bytes(mask));
}

EditRequest RequestReader::read(const EditSettings& settings, Bytes source, Bytes mask) {
  EditRequest request = read_source(settings, source);
  if (!settings.mask.empty())
    add_mask(settings, read_mask(settings, mask, request.source), request);
  return checked(settings, std::move(request));
}

EditRequest RequestReader::read(const EditSettings& settings, Bytes source, Image mask) {
  EditRequest request = read_source(settings, source);
  add_mask(settings, std::move(mask), request);
  return checked(settings, std::move(request));
}

EditRequest RequestReader::read_source(const EditSettings& settings, Bytes source) const {
  EditRequest request = settings.request;
  request.seed = *settings.seed;
  StoredPicture picture = read_picture(source, settings.image, read_, settings.keep_location);
  request.source = std::move(picture.image);
  request.colour_profile = std::move(picture.profile);
  if (request.source_size) {
    request.with_alpha = std::move(picture.with_alpha);
    request.exif = std::move(picture.exif);
    if (!picture.reduced.empty()) {
      log::warn(str(settings.image, " has ", picture.reduced,
                    "; it is read, compared and written as 8-bit RGB"));
    }
  }
  if (picture.frames > 1) {
    log::warn(str(settings.image, " is an animation of ", picture.frames,
                  " frames; the first is edited"));
  }
  return request;
}

EditRequest RequestReader::checked(const EditSettings& settings, EditRequest request) {
  if (request.region) take_region(request);
  if (request.mask && request.region && !has_white(*request.mask)) {
    throw UsageError(str(settings.mask, ": none of its white lies in --region ",
                         box_text(*request.region), "; give another region, or auto"));
  }
  if (request.mask) expect_selection(settings, request);
  const std::string shortage = memory_.shortage(request, half(request), full_size(request));
  if (!shortage.empty()) throw Error(ExitCode::kFailure, settings.image + ": " + shortage);
  return request;
}

Image RequestReader::read_mask(const EditSettings& s, Bytes mask, const Image& source) const {
  ReadOptions with_alpha = read_;
  with_alpha.keep_alpha = true;
  const Image painted = decode_image(mask, s.mask, with_alpha);
  if (is_erased_copy(painted, source)) {
    log::warn(str(s.mask, " is a copy of ", s.image,
                  " with a transparent hole, as APIs take it that edit where alpha is 0; here ",
                  "white is edited and transparent is not: save the hole as white on black"));
  }
  return painted.channels == 4 ? decode_mask(mask, s.mask, read_) : to_grey(painted);
}

void RequestReader::add_mask(const EditSettings& s, Image mask, EditRequest& request) const {
  request.mask = std::move(mask);
  check_mask(*request.mask, {request.source.width, request.source.height}, s.mask, s.image);
}

void RequestReader::take_region(EditRequest& request) const {
  const Image* mask = request.mask ? &*request.mask : nullptr;
  const int64_t width = request.width.value_or(residency_.files().defaults().width);
  const Box box = resolved_box(*request.region, {request.source.width, request.source.height}, mask,
                               static_cast<int>(width));
  request.photo = std::move(request.source);
  request.source = crop(request.photo, box);
  if (mask != nullptr) request.mask = crop(*request.mask, box);
  request.region = box;
}

void RequestReader::expect_selection(const EditSettings& s, const EditRequest& request) const {
  const Size size = half(request);
  if (has_white(resize(*request.mask, size.width, size.height, Filter::kLanczos))) return;
  throw UsageError(str(s.mask, ": so little of it is white that nothing is left at ", size.width,
                       "x", size.height, " pixels, at which the model works; paint more white, ",
                       "or give a larger --width"));
}

uint64_t RequestReader::output_bytes(const EditRequest& request, int64_t preview_every,
                                     bool preview_full) const {
  const auto bytes_of = [](int64_t w, int64_t h) { return uint64_t(w) * h * 3 + (64 << 10); };
  const Size edit = half(request);
  const Size made = request.source_size ? full_size(request) : edit;
  const uint64_t picture = bytes_of(made.width, made.height);
  if (preview_every == 0) return picture;
  const int64_t steps = request.steps.value_or(residency_.files().defaults().num_inference_steps);
  const int64_t smaller = preview_full ? 1 : residency_.vae_config().downscale();
  return picture +
         uint64_t(steps / preview_every) * bytes_of(edit.width / smaller, edit.height / smaller);
}

}  // namespace icedit
