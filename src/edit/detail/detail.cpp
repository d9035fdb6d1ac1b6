#include "edit/detail/detail.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "edit/detail/content.h"
#include "edit/detail/full_size.h"
#include "edit/detail/matte.h"
#include "edit/detail/registration.h"
#include "edit/detail/style.h"
#include "edit/feather.h"
#include "edit/mask.h"

namespace icedit {
namespace {

constexpr int kSmallest = 16;           // pixels of a side that can be compared
constexpr double kMostlyContent = 0.5;  // above, there is nothing to fit locally on
constexpr double kMuchLiker = 0.92;     // of the difference is left
constexpr float kEdgeFrom = 0.05f, kEdgeOver = 0.9f;

void expect_rgb(const Image& image, const std::string& name) {
  if (image.width < 1 || image.height < 1)
    throw UsageError(str("the ", name, " has no pixels; give an RGB picture"));
  if (image.channels != 3)
    throw UsageError(
        str("the ", name, " has ", image.channels, " channels, expected 3: bring it to RGB first"));
}

void check(const DetailInput& in, const DetailOptions& options) {
  expect_rgb(in.original, "original");
  expect_rgb(in.source, "source");
  expect_rgb(in.reconstruction, "reconstruction");
  expect_rgb(in.edit, "edit");
  const Size size = {in.source.width, in.source.height};
  const auto expect_size = [&](const Image& image, const std::string& name) {
    if (Size{image.width, image.height} == size) return;
    throw UsageError(str("the ", name, " is ", image.width, "x", image.height,
                         " pixels, expected the source's ", size.width, "x", size.height,
                         ": all three are of the model's size"));
  };
  expect_size(in.reconstruction, "reconstruction");
  expect_size(in.edit, "edit");
  if (size.width < kSmallest || size.height < kSmallest)
    throw UsageError(str("the source is ", size.width, "x", size.height,
                         " pixels, which is too little to tell detail from noise; expected at "
                         "least ",
                         kSmallest, "x", kSmallest,
                         ": edit it at a larger --width, or crop the picture"));
  if (in.mask != nullptr) {
    if (in.mask->channels != 1)
      throw UsageError(str("the mask has ", in.mask->channels, " channels, expected 1 (grey)"));
    if (Size{in.mask->width, in.mask->height} != Size{in.original.width, in.original.height})
      throw UsageError(str("the mask is ", in.mask->width, "x", in.mask->height,
                           " pixels, expected the original's ", in.original.width, "x",
                           in.original.height));
    if (!has_white(*in.mask))
      throw UsageError(
          "the mask has no white pixel, so that nothing may change; paint white where the edit "
          "belongs");
  }
  if (!(options.tolerance > 0) || !std::isfinite(options.tolerance))
    throw UsageError(str("the tolerance is ", options.tolerance, ", expected more than 0"));
}

// A map of the covered rectangle, its border repeated over the rest of the picture.
Plane padded(const Plane& plane, const Rectangle& at, int width, int height) {
  Plane out(width, height);
  for (int y = 0; y < height; ++y) {
    const float* from = plane.row(std::clamp(y - at.y0, 0, plane.height - 1));
    for (int x = 0; x < width; ++x) out.at(x, y) = from[std::clamp(x - at.x0, 0, plane.width - 1)];
  }
  return out;
}

Region padded(const Region& region, const Rectangle& at, int width, int height) {
  const Plane plane = padded(to_plane(region), at, width, height);
  Region out(width, height);
  std::copy(plane.values.begin(), plane.values.end(), out.inside.begin());
  return out;
}

struct Analysis {
  Registration registration;
  Planes edit;  // aligned
  ChangeMap map;
};

class Analyser {
 public:
  Analyser(const DetailInput& in, const DetailOptions& options)
      : source_(to_planes(in.source)),
        reconstruction_(to_planes(in.reconstruction)),
        edit_(to_planes(in.edit)),
        edit_luma_(luma(edit_)),
        reconstruction_luma_(luma(reconstruction_)),
        tolerance_(options.tolerance),
        threads_(options.threads) {}

  Analysis run(const std::function<void(double)>& on_progress) const {
    const GlobalFit global = fit_globally(edit_luma_, reconstruction_luma_, threads_);
    on_progress(0.2);
    const Registration whole{global, {}, {}, 1};
    const auto anew = [&](const Planes& edit) {
      return is_painted_anew(source_, reconstruction_, edit, threads_);
    };
    if (anew(edit_) && anew(warped(edit_, whole, threads_))) return all_painted();
    Analysis found = analyse(fit_locally(edit_luma_, reconstruction_luma_, global, {}, threads_));
    on_progress(0.6);
    const double content = found.map.content.share();
    if (content > kMostlyContent) return analyse(whole);
    if (content > 0) {
      const int reach = std::max(1, static_cast<int>(std::lround(edit_[0].width / 64.0)));
      const Region ignored = dilated(found.map.content, reach);
      found = analyse(fit_locally(edit_luma_, reconstruction_luma_, global, ignored, threads_));
    }
    return found;
  }

  // What the full-size pass needs.
  SmallEdit small_edit(Analysis analysis, double enlarged) const {
    SmallEdit small;
    small.agreement = agreement(luma(analysis.edit), reconstruction_luma_, threads_);
    small.source_luma = luma(source_);
    const int border = std::max(2, static_cast<int>(std::lround(edit_[0].width / 128.0)) + 1);
    if (enlarged > 1)
      small.similar = find_similar(luma(analysis.edit), small.source_luma, analysis.map.content,
                                   eroded(complement(analysis.map.changed), border));
    small.edit = sharpened(analysis.edit, enlarged, threads_);
    small.colours = std::move(analysis.map.colours);
    small.matte = border_matte(analysis.map.changed, source_, threads_);
    small.content = gaussian(to_plane(analysis.map.content), 1);
    small.changed = gaussian(to_plane(analysis.map.changed), 1);
    // Of what is changed: at a border that both have, all of it is content.
    for (size_t i = 0; i < small.content.values.size(); ++i)
      small.content.values[i] =
          std::min(1.0f, small.content.values[i] / std::max(small.changed.values[i], 1e-3f));
    for (float& m : small.changed.values) m = std::clamp((m - kEdgeFrom) / kEdgeOver, 0.0f, 1.0f);
    return small;
  }

 private:
  // The edit as it lies, or moved where that makes it much liker: there is little to align it by.
  Analysis all_painted() const {
    const int w = edit_[0].width, h = edit_[0].height;
    Analysis a{{fit_from_afar(edit_luma_, reconstruction_luma_, threads_), {}, {}, 1}, {}, {}};
    a.edit = warped(edit_, a.registration, threads_);
    const double lying = 1 - likeness(edit_luma_, reconstruction_luma_);
    if (1 - likeness(luma(a.edit), reconstruction_luma_) > kMuchLiker * lying)
      a.registration = {}, a.edit = edit_;
    a.map.changed = complement(Region(w, h));
    a.map.content = a.map.changed;
    a.map.colours = unchanged_colours(w, h);
    return a;
  }

  Analysis analyse(Registration registration) const {
    const int w = edit_[0].width, h = edit_[0].height;
    Analysis a{std::move(registration), {}, {}};
    a.edit = warped(edit_, a.registration, threads_);
    const Rectangle r = covered(a.registration, w, h);
    const auto part = [&](const Planes& planes) { return cropped(planes, r.x0, r.y0, r.x1, r.y1); };
    a.map = find_changes(part(source_), part(reconstruction_), part(a.edit), tolerance_, threads_);
    a.map.changed = padded(a.map.changed, r, w, h);
    a.map.content = padded(a.map.content, r, w, h);
    for (Plane& plane : a.map.colours.parameters) plane = padded(plane, r, w, h);
    return a;
  }

  Planes source_, reconstruction_, edit_;
  Plane edit_luma_, reconstruction_luma_;
  double tolerance_;
  int threads_;
};

Image picture_of(const ChangeMap& map) {
  Image out(map.changed.width, map.changed.height, 1);
  for (size_t i = 0; i < out.pixels.size(); ++i)
    out.pixels[i] = map.content.inside[i] ? kContent : map.changed.inside[i] ? kColour : kKept;
  return out;
}

DetailFigures figures_of(const Registration& registration, const Image& map) {
  const GlobalFit& global = registration.global;
  DetailFigures f{global.shift_x, global.shift_y, global.zoom};
  for (size_t i = 0; i < registration.dx.values.size(); ++i)
    f.bend += std::hypot(registration.dx.values[i], registration.dy.values[i]) /
              double(registration.dx.values.size());
  const auto percent = [&](uint8_t value) {
    return 100.0 * double(std::count(map.pixels.begin(), map.pixels.end(), value)) /
           double(map.pixels.size());
  };
  f.kept = percent(kKept), f.colour = percent(kColour), f.content = percent(kContent);
  return f;
}

// Nothing outside the mask is changed, so the map does not say so either.
void clear_outside(Image& map, const Image& mask) {
  const Image small = resize(mask, map.width, map.height, Filter::kBilinear);
  for (size_t i = 0; i < map.pixels.size(); ++i) {
    if (small.pixels[i] == 0) map.pixels[i] = kKept;
  }
}

}  // namespace

DetailedEdit keep_detail(const DetailInput& in, const DetailOptions& options) {
  check(in, options);
  const auto tell = [&](double done) {
    if (options.on_progress) options.on_progress(done);
  };
  tell(0);
  const Analyser analyser(in, options);
  Analysis analysis = analyser.run([&](double done) { tell(0.6 * done); });
  tell(0.6);
  DetailedEdit out;
  out.map = picture_of(analysis.map);
  std::vector<float> weight;
  if (in.mask != nullptr) {
    weight = feather_weights(*in.mask, options.feather);
    clear_outside(out.map, *in.mask);
  }
  out.figures = figures_of(analysis.registration, out.map);
  const double enlarged = static_cast<double>(in.original.width) / in.source.width;
  const SmallEdit small = analyser.small_edit(std::move(analysis), enlarged);
  out.image = at_full_size(in.original, small, weight, options.threads,
                           [&](double done) { tell(0.6 + 0.4 * done); });
  return out;
}

}  // namespace icedit
