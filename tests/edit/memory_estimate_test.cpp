#include "edit/memory_estimate.h"

#include <gtest/gtest.h>

#include "golden.h"
#include "io/temporary_folder.h"
#include "models/configs.h"

namespace icedit {
namespace {

PartEstimate part(Part which, uint64_t weights, uint64_t activations) {
  PartEstimate e;
  e.part = which;
  e.weights = weights;
  e.activations = activations;
  return e;
}

constexpr uint64_t kGib = uint64_t{1} << 30;

std::vector<PartEstimate> large() {
  return {part(Part::kTransformer, 24 * kGib, 2 * kGib), part(Part::kT5, 10 * kGib, kGib),
          part(Part::kClip, kGib / 4, 0), part(Part::kVae, kGib / 4, 4 * kGib)};
}

TEST(MemoryEstimate, PeakFollowsWhatStaysLoaded) {
  EXPECT_EQ(peak_bytes(large(), Keep::kOne), 26 * kGib);
  // Transformer and VAE together, with the larger of their activations.
  EXPECT_EQ(peak_bytes(large(), Keep::kImageParts), 24 * kGib + kGib / 4 + 4 * kGib);
  EXPECT_EQ(peak_bytes(large(), Keep::kAll), 34 * kGib + kGib / 2 + 4 * kGib);
}

TEST(MemoryEstimate, SmallModelsStayWholeAndLargeOnesDoNot) {
  const std::vector<PartEstimate> small = {part(Part::kTransformer, 40 << 20, 0)};
  EXPECT_EQ(choose_keep(small, false, false), Keep::kAll);
  EXPECT_EQ(choose_keep(small, true, false), Keep::kOne);
  EXPECT_EQ(choose_keep(large(), false, false), Keep::kOne);
  EXPECT_EQ(choose_keep(large(), false, true), Keep::kImageParts);
  EXPECT_EQ(choose_keep(large(), true, true), Keep::kOne);
}

TEST(MemoryEstimate, ReadsHeadersAndConfigs) {
  ModelRequest request;
  request.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  const Residency residency(ModelFiles::find(request), {});
  const auto parts = estimate_parts(residency, {32, 512, 64 * 128});
  ASSERT_EQ(parts.size(), 4u);
  const auto t5 = T5Config::from(residency.files().open(Part::kT5).config);
  for (const PartEstimate& e : parts) {
    // Of T5's table only some rows are read.
    const int64_t unread = e.part == Part::kT5 ? t5.vocab_size * t5.d_model : 0;
    EXPECT_EQ(e.weights, 4 * static_cast<uint64_t>(e.parameters - unread)) << part_name(e.part);
    EXPECT_EQ(e.dtype, "F32");
    EXPECT_FALSE(e.mapped);
    EXPECT_EQ(e.copied, 0u);  // f32 in the files and in memory: looked at where it lies
    EXPECT_GT(e.activations, 0u);
  }
}

TEST(MemoryEstimate, FoldedAdaptersNeedCopiesOfTheWeights) {
  ModelRequest request;
  request.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  ResidencyOptions options;
  options.adapters = {{(Path(ICEDIT_GOLDENS) / "lora/alpha4").string(), 1.0}};
  const Residency residency(ModelFiles::find(request), options);
  const auto parts = estimate_parts(residency, {32, 512, 64 * 128});
  EXPECT_EQ(parts[0].copied, parts[0].weights);
  EXPECT_EQ(parts[1].copied, 0u);
  EXPECT_GT(adapter_bytes(residency), 0u);
}

TEST(MemoryEstimate, WhatDoesNotFitIsSaidWithWhatWould) {
  ModelRequest model;
  model.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  const Residency residency(ModelFiles::find(model), {});
  EditRequest request;
  request.source = Image(64, 64);
  const auto shortage = [&](uint64_t available, int side) {
    return MemoryCheck(residency, available).shortage(request, {side, side}, {side, side});
  };
  EXPECT_EQ(shortage(kGib, 64), "");
  EXPECT_EQ(shortage(1000 * kGib, 4096), "");
  const std::string text = shortage(kGib, 4096);
  EXPECT_NE(text.find("an edit of 4096x4096 pixels needs about "), std::string::npos) << text;
  EXPECT_NE(text.find("1.0 GiB are available; give a smaller --width ("), std::string::npos)
      << text;
  EXPECT_NE(shortage(1000, 64).find("a smaller --width or --low-memory"), std::string::npos);
  // What fits is remembered; what is larger in one direction only is looked at again.
  MemoryCheck check(residency, kGib);
  EXPECT_EQ(check.shortage(request, {64, 64}, {64, 64}), "");
  EXPECT_NE(check.shortage(request, {4096, 4096}, {64, 64}), "");
  EXPECT_EQ(check.shortage(request, {64, 64}, {64, 64}), "");
}

TEST(MemoryEstimate, AFullSizePictureCounts) {
  ModelRequest model;
  model.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  const Residency residency(ModelFiles::find(model), {});
  EditRequest request;
  EXPECT_EQ(full_size_bytes(edit_size(residency, request, {64, 64}, {8000, 6000})), 0u);
  request.source_size = true;
  const EditSize size = edit_size(residency, request, {64, 64}, {8000, 6000});
  EXPECT_GE(full_size_bytes(size), uint64_t{8000} * 6000 * 6);  // the photo and the edit
  EXPECT_EQ(larger(size, {}), size);
  EXPECT_EQ(MemoryCheck(residency, kGib).shortage(request, {64, 64}, {8000, 6000}), "");
  EXPECT_NE(MemoryCheck(residency, kGib).shortage(request, {64, 64}, {20000, 20000}), "");
}

// Q4_0 stays in its blocks, 18 bytes of 32 values; other blocks become 8 bits.
TEST(MemoryEstimate, BlocksThatAreMultipliedAsTheyAreStoredCountAsStored) {
  for (const bool q4 : {true, false}) {
    const TemporaryFolder folder;
    std::filesystem::copy_file(
        golden::path(q4 ? "gguf/tiny-fill-q4_0.gguf" : "gguf/tiny-fill-q8_0.gguf"),
        folder / "model.gguf");
    std::filesystem::copy_file(golden::path("tiny-fill/transformer/config.json"),
                               folder / "config.json");
    ModelRequest model;
    model.model = golden::path("tiny-fill").string();
    model.transformer = (folder / "model.gguf").string();
    ResidencyOptions options;
    options.gguf_compute = GgufCompute::kInt8;
    const Residency residency(ModelFiles::find(model), options);
    for (const CallBytes& block : transformer_blocks(residency)) {
      EXPECT_EQ(block.held == block.stored, q4) << block.path;
      EXPECT_LE(block.held, block.stored) << block.path;
    }
  }
}

TEST(MemoryEstimate, KeysAndValuesThatAreKeptCount) {
  ModelRequest model;
  model.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  const Residency residency(ModelFiles::find(model), {});
  EditRequest request;
  const auto activations = [&] {
    return estimate_parts(residency, usual_size(residency, request))[0].activations;
  };
  const uint64_t without = activations();
  request.speed.reuse_left = 2;
  const FluxConfig config = FluxConfig::from(residency.files().open(Part::kTransformer).config);
  const int64_t blocks = config.num_layers + config.num_single_layers;
  const int64_t left = usual_size(residency).image_tokens / 2;
  const auto kept = uint64_t(2 * left * blocks * config.hidden() * 4);
  EXPECT_EQ(activations() - without, kept);
  request.mask.emplace();  // which may let little change
  EXPECT_EQ(activations() - without, 2 * kept);
}

}  // namespace
}  // namespace icedit
