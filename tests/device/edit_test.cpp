// Whole edits on the pretend device, against the CPU's.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "device/on_device.h"
#include "edit/pipeline.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

using pretend::device;

ResidencyOptions options_on(at::Device where) {
  ResidencyOptions options;
  options.device = where;
  return options;
}

Editor editor(const ResidencyOptions& options) {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  return Editor(ModelFiles::find(request), options);
}

EditRequest request() {
  EditRequest request;
  request.source = read_image(golden::path("image/icedit_0_source.png"));
  request.instruction = "make it winter";
  request.seed = 7;
  request.steps = 4;
  request.width = 64;
  request.max_sequence_length = 64;
  return request;
}

// Sums in another order round a value on an edge the other way.
void expect_alike(const Image& got, const Image& want) {
  ASSERT_EQ(got.pixels.size(), want.pixels.size());
  int worst = 0, differing = 0;
  for (size_t i = 0; i < want.pixels.size(); ++i) {
    const int off = std::abs(int(got.pixels[i]) - int(want.pixels[i]));
    worst = std::max(worst, off);
    differing += off != 0;
  }
  EXPECT_LE(worst, 1);
  EXPECT_LE(differing, int(want.pixels.size() / 100));
}

EditedImage edited(const ResidencyOptions& options, const EditRequest& r = request(),
                   const EditHooks& hooks = {}) {
  return editor(options).edit(r, hooks).front();
}

void expect_as_on_the_cpu(const EditRequest& r, ResidencyOptions options = {},
                          const EditHooks& hooks = {}) {
  const Image want = edited(options, r, hooks).image;
  options.device = device();
  expect_alike(edited(options, r, hooks).image, want);
}

TEST(EditOnDevice, IsTheCpusEdit) {
  expect_as_on_the_cpu(request());
}

TEST(EditOnDevice, KeepsThePhotosDetail) {
  EditRequest r = request();
  r.source_size = true;
  expect_as_on_the_cpu(r);
}

TEST(EditOnDevice, WithAMask) {
  EditRequest r = request();
  r.mask = Image(r.source.width, r.source.height, 1);
  for (int y = 8; y < 40; ++y) std::fill_n(r.mask->at(8, y), 32, 255);
  expect_as_on_the_cpu(r);
}

TEST(EditOnDevice, WithFewerCallsOfTheNetwork) {
  EditRequest r = request();
  r.speed.calls = 3;
  expect_as_on_the_cpu(r);
  r.speed = {};
  r.speed.speed = Speed::kFast;
  expect_as_on_the_cpu(r);
}

TEST(EditOnDevice, WithoutTheLeftHalfInMostCalls) {
  EditRequest r = request();
  r.speed.reuse_left = 3;
  expect_as_on_the_cpu(r);
}

TEST(EditOnDevice, WithSolversOfTheSecondOrder) {
  for (const Solver solver : {Solver::kAb2, Solver::kDpmpp2m}) {
    EditRequest r = request();
    r.solver = solver;
    expect_as_on_the_cpu(r);
  }
}

TEST(EditOnDevice, WithAdapters) {
  ResidencyOptions options;
  options.adapters = {{golden::path("lora/alpha4").string(), 0.5},
                      {golden::path("moe").string(), 1.0}};
  expect_as_on_the_cpu(request(), options);
}

TEST(EditOnDevice, KeepsWhatTheTextEncodersMade) {
  const TemporaryFolder folder;
  ResidencyOptions options = options_on(device());
  options.prompt_cache = {folder.path(), uint64_t{1} << 20, /*least_bytes=*/0};
  const Image made = edited(options).image;
  EXPECT_FALSE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(edited(options).image, made);
}

TEST(EditOnDevice, ShowsPreviews) {
  for (const bool full : {false, true}) {
    const auto shown = [&](at::Device where) {
      EditHooks hooks;
      hooks.preview_every = 2;
      hooks.preview_full = full;
      std::vector<Image> previews;
      hooks.on_preview = [&](const Image& preview, int64_t) { previews.push_back(preview); };
      edited(options_on(where), request(), hooks);
      return previews;
    };
    const auto want = shown(at::kCPU), got = shown(device());
    ASSERT_EQ(got.size(), 2u);
    for (size_t i = 0; i < got.size(); ++i) expect_alike(got[i], want[i]);
  }
}

TEST(EditOnDevice, SeveralPicturesDenoisedTogether) {
  const auto both = [](at::Device where) {
    Editor e = editor(options_on(where));
    e.set_batch(2);
    EditRequest other = request();
    other.seed = 8;
    std::vector<Image> images(2);
    e.edit({request(), other}, {},
           [&](size_t i, std::vector<EditedImage> done) { images[i] = done.front().image; });
    return images;
  };
  const auto want = both(at::kCPU), got = both(device());
  for (size_t i = 0; i < 2; ++i) expect_alike(got[i], want[i]);
}

}  // namespace
}  // namespace icedit
