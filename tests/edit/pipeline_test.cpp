// The whole edit against FluxFillPipeline, stage by stage and as pixels.
#include "edit/pipeline.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "diffusion/denoise.h"
#include "diffusion/latents.h"
#include "golden.h"

namespace icedit {
namespace {

constexpr int kToken = 16;

nlohmann::json settings() {
  return nlohmann::json::parse(read_file(golden::path("pipeline/pipeline.json")));
}

ResidencyOptions plain() {
  return {};
}

Editor tiny_editor(const ResidencyOptions& options = plain()) {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  return Editor(ModelFiles::find(request), options);
}

EditRequest request_of(const std::string& picture) {
  const auto s = settings();
  EditRequest request;
  request.source = read_image(golden::path("image/icedit_" + picture + "_source.png"));
  const std::string prompt = s["prompts"][0];
  request.instruction = prompt.substr(std::string(kPromptPrefix).size());
  request.seed = s["seed"];
  request.steps = s["steps"];
  request.guidance = s["guidance"];
  request.width = s["width"];
  request.max_sequence_length = s["t5_length"];
  request.sizing = Sizing::kIcedit;
  return request;
}

void expect_pixels(const Image& got, const std::string& golden_png) {
  const Image want = read_image(golden::path("pipeline/" + golden_png));
  ASSERT_EQ(got.width, want.width) << golden_png;
  ASSERT_EQ(got.height, want.height) << golden_png;
  int worst = 0, differing = 0;
  for (size_t i = 0; i < want.pixels.size(); ++i) {
    const int difference = std::abs(int(got.pixels[i]) - int(want.pixels[i]));
    worst = std::max(worst, difference);
    differing += difference != 0;
  }
  EXPECT_LE(worst, 1) << golden_png;
  // A float on a rounding edge is rare.
  EXPECT_LE(differing, static_cast<int>(want.pixels.size() / 100)) << golden_png;
}

struct Variant {
  const char* name;
  const char* picture;
  Layout layout;
  NoiseOrder order;
};

class Pipeline : public ::testing::TestWithParam<Variant> {};

TEST_P(Pipeline, EveryStageIsDiffusers) {
  const Variant& v = GetParam();
  const auto golden = golden::load(str("pipeline/", v.name, ".safetensors"));
  const c10::InferenceMode inference;
  Editor editor = tiny_editor();
  Residency& residency = editor.residency();
  const EditRequest request = request_of(v.picture);
  const auto expect = [&](const Tensor& got, const std::string& name) {
    if (golden.count(name) == 0) return;  // the variants keep only what differs
    EXPECT_TRUE(golden::close(got, golden::get(golden, name), golden::tolerance::kPipeline))
        << name;
  };

  const Diptych diptych = make_diptych(request.source, 64, Sizing::kIcedit, v.layout, kToken);
  const Tensor image = preprocess_image(diptych.image, kToken);
  const int64_t h = image.size(2) / 8, w = image.size(3) / 8;
  const Prompt prompt{kPromptPrefix + request.instruction, *request.max_sequence_length};
  const PromptEmbeds text = encode_prompts(residency, {prompt}).front();
  expect(text.prompt_embeds, "prompt_embeds");
  expect(text.pooled_prompt_embeds, "pooled_prompt_embeds");
  const Draws draws = draw_noise(request.seed, 1, 16, h, w, at::kFloat, v.order);
  const Tensor mask = preprocess_mask(diptych.mask, kToken);

  DenoiseInputs in;
  in.initial_latents = pack_latents(draws.initial_noise);
  expect(in.initial_latents, "initial_latents");
  in.conditioning = make_conditioning(encode_masked(residency, image, mask), draws.vae_noise, mask,
                                      text, residency.vae_config());
  const auto condition = in.conditioning.condition.split({64, 256}, 2);
  expect(condition[0], "masked_latents");
  expect(condition[1], "packed_mask");
  expect(in.conditioning.image_ids, "image_ids");
  const SchedulerConfig scheduler = SchedulerConfig::from(residency.files().scheduler());
  const Schedule schedule = make_schedule(
      scheduler, *request.steps, image_tokens(diptych.image.height, diptych.image.width, 8));
  expect(schedule.sigmas, "sigmas");
  expect(schedule.timesteps, "timesteps");
  in.sigmas = schedule.sigmas;
  in.guidance = *request.guidance;
  int64_t steps = 0;
  const Tensor latents =
      denoise(residency.transformer(), in, [&](int64_t i, const Tensor& x, const Tensor&) {
        expect(x, str("latents.", i + 1));
        ++steps;
      }).latents;
  EXPECT_EQ(steps, *request.steps);
  const Tensor decoded = residency.vae().decode(
      denormalise_latents(unpack_latents(latents, h, w), residency.vae_config()));
  expect(decoded, "decoded");
}

TEST_P(Pipeline, PixelsAreDiffusers) {
  const Variant& v = GetParam();
  EditRequest request = request_of(v.picture);
  request.layout = v.layout;
  request.noise_order = v.order;
  const EditedImage edited = tiny_editor().edit(request).front();
  expect_pixels(edited.diptych, str(v.name, "_0_full.png"));
  // The demo crops by the result's own size: for picture 0 both rules give the same.
  expect_pixels(edited.image, str(v.name, "_0_crop.png"));
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, Pipeline,
    ::testing::Values(Variant{"0_cli", "0", Layout::kCopy, NoiseOrder::kCurrent},
                      Variant{"0_gradio", "0", Layout::kBlack, NoiseOrder::kCurrent},
                      Variant{"0_early_noise", "0", Layout::kCopy, NoiseOrder::kEarly},
                      Variant{"1_cli", "1", Layout::kCopy, NoiseOrder::kCurrent}),
    [](const auto& info) { return std::string("v") + info.param.name; });

TEST(Editor, LowMemoryAndSeveralInOneLoadGiveTheSamePixels) {
  const EditRequest request = request_of("0");
  const Image alone = tiny_editor().edit(request).front().image;
  for (const Keep keep : {Keep::kOne, Keep::kImageParts, Keep::kAll}) {
    ResidencyOptions options;
    options.keep = keep;
    Editor editor = tiny_editor(options);
    EditRequest other = request_of("1");
    other.instruction = "something else";
    std::vector<Image> images(2);
    editor.edit({other, request}, {}, [&](size_t index, std::vector<EditedImage> done) {
      images[index] = done.front().image;
    });
    EXPECT_EQ(images[1], alone) << "keep " << static_cast<int>(keep);
  }
}

TEST(Editor, WeightsThatAreLetGoOfGiveTheSamePixels) {
  const EditRequest request = request_of("0");
  for (const Quant quant : {Quant::kNone, Quant::kInt8}) {
    ResidencyOptions options;
    options.quant = quant;
    options.adapters = {{golden::path("lora/alpha4").string(), 1.0}};
    Editor all = tiny_editor(options);
    EXPECT_FALSE(all.residency().streamed().modulations);
    const Image want = all.edit(request).front().image;
    options.let_go_from = 1;
    Editor some = tiny_editor(options);
    EXPECT_TRUE(some.residency().streamed().modulations && some.residency().streamed().t5);
    EXPECT_EQ(some.edit(request).front().image, want);
    some.residency().set_streamed({.t5 = false,
                                   .modulations = false,
                                   .blocks = {"transformer_blocks.1", "single_transformer_blocks.0",
                                              "single_transformer_blocks.2"}});
    EXPECT_EQ(some.edit(request).front().image, want);
  }
}

TEST(Editor, ImageIUsesSeedPlusI) {
  EditRequest request = request_of("0");
  request.num_images = 2;
  const auto both = tiny_editor().edit(request);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[1].seed, request.seed + 1);
  request.num_images = 1;
  EXPECT_EQ(tiny_editor().edit(request).front().image, both[0].image);
  request.seed += 1;
  EXPECT_EQ(tiny_editor().edit(request).front().image, both[1].image);
  EXPECT_NE(both[0].image, both[1].image);
}

TEST(Editor, MaskedEditKeepsTheSourceOutside) {
  EditRequest request = request_of("0");
  request.sizing = Sizing::kFit;
  request.source_size = true;
  Image mask(request.source.width, request.source.height, 1);
  for (int y = 8; y < 40; ++y) std::fill_n(mask.at(8, y), 32, 255);
  request.mask = mask;
  for (const bool keep : {true, false}) {
    request.keep_detail = keep;
    const Image edited = tiny_editor().edit(request).front().image;
    int changed = 0;
    for (int y = 0; y < mask.height; ++y) {
      for (int x = 0; x < mask.width; ++x) {
        const bool same = std::equal(edited.at(x, y), edited.at(x, y) + 3, request.source.at(x, y));
        if (*mask.at(x, y) == 0) {
          ASSERT_TRUE(same) << x << " " << y;
        }
        changed += !same;
      }
    }
    // The VAE of random weights drowns every change in noise, so that all is kept.
    if (!keep) {
      EXPECT_GT(changed, 500);
    }
  }
}

TEST(Editor, PreviewsComeAsOftenAsAsked) {
  EditRequest request = request_of("0");
  for (const bool full : {false, true}) {
    EditHooks hooks;
    hooks.preview_every = 2;
    hooks.preview_full = full;
    std::vector<Image> previews;
    hooks.on_preview = [&](const Image& preview, int64_t) { previews.push_back(preview); };
    tiny_editor().edit(request, hooks);
    ASSERT_EQ(previews.size(), 2u);
    EXPECT_EQ(previews[0].width, full ? 64 : 8);
  }
}

// A map that knows the source's colours only shows the dark blue of a desert's night as beige.
TEST(Editor, TheLastPreviewHasTheEditsColours) {
  ModelRequest nano;
  nano.model = std::string(ICEDIT_SOURCE) + "/models/nano/model";
  ResidencyOptions options;
  options.adapters = {{std::string(ICEDIT_SOURCE) + "/models/nano/lora", 1.0}};
  EditRequest request;
  request.source = read_image(Path(ICEDIT_SOURCE) / "assets/desert-car.png");
  request.instruction = "make it night";
  request.seed = 1;
  EditHooks hooks;
  hooks.preview_every = 8;
  Image preview;
  hooks.on_preview = [&](const Image& shown, int64_t) { preview = shown; };
  const Image edit = Editor(ModelFiles::find(nano), options).edit(request, hooks).front().image;
  const Image small = resize(edit, preview.width, preview.height, Filter::kBilinear);
  const Image before = resize(request.source, preview.width, preview.height, Filter::kBilinear);
  const auto distance = [&](const Image& other) {
    double sum = 0;
    for (size_t i = 0; i < small.pixels.size(); ++i)
      sum += std::abs(int(small.pixels[i]) - int(other.pixels[i]));
    return sum / static_cast<double>(small.pixels.size());
  };
  ASSERT_GT(distance(before), 60);  // the edit does change the colours
  EXPECT_LT(distance(preview), 20);
}

// Products keep the factors as they were packed at the first use, and take the scale at each.
TEST(Editor, AnAdapterOnABaseIn8BitsIsRescaledAsIfItHadBeenLoadedSo) {
  ModelRequest nano;
  nano.model = std::string(ICEDIT_SOURCE) + "/models/nano/model";
  EditRequest request;
  request.source = read_image(Path(ICEDIT_SOURCE) / "assets/desert-car.png");
  request.instruction = "make it night";
  request.seed = 1;
  request.steps = 2;
  const auto last_of = [&](const std::vector<double>& scales) {
    ResidencyOptions options;
    options.dtype = DtypeChoice::kBF16;
    options.quant = Quant::kInt8;
    options.keep = Keep::kAll;
    options.adapters = {{std::string(ICEDIT_SOURCE) + "/models/nano/lora", scales.front()}};
    Editor editor(ModelFiles::find(nano), options);
    Image made;
    for (const double scale : scales) {
      editor.residency().set_adapter_scale(0, scale);
      made = editor.edit(request).front().image;
    }
    return made;
  };
  const Image half = last_of({0.5});
  EXPECT_EQ(last_of({0, 1, 0.5}).pixels, half.pixels);
  EXPECT_NE(last_of({0}).pixels, half.pixels);
}

TEST(Editor, LoadingTheTransformerIsAStageOfItsOwnAndComesOnce) {
  std::vector<std::string> stages;
  EditHooks hooks;
  hooks.on_stage = [&](const std::string& stage) { stages.push_back(stage); };
  Editor editor = tiny_editor();
  editor.residency().set_keep(Keep::kAll);
  const EditRequest request = request_of("0");
  editor.edit(request, hooks);
  EXPECT_EQ(stages, (std::vector<std::string>{"reading the instruction", "encoding the picture",
                                              "loading the transformer", "denoising", "decoding"}));
  editor.edit(request, hooks);
  EXPECT_EQ(std::count(stages.begin(), stages.end(), "loading the transformer"), 1);

  EditRequest full = request;
  full.source_size = true;
  full.num_images = 2;
  stages.clear();
  editor.edit(full, hooks);
  const std::string decoding = "decoding", keeping = "keeping the photo's detail";
  EXPECT_EQ(std::vector<std::string>(stages.end() - 4, stages.end()),
            (std::vector<std::string>{decoding, keeping, decoding, keeping}));
}

// Cancelling is an argument of an edit: it ends within a step, and the editor goes on to the next.
TEST(Editor, StopsBeforeTheBlockAtWhichItsStopCheckThrows) {
  Editor editor = tiny_editor();
  editor.residency().set_keep(Keep::kAll);
  const EditRequest request = request_of("0");
  const Image whole = editor.edit(request).front().image;
  struct Cancelled {};
  bool denoising = false;
  int steps = 0, blocks = 0;
  EditHooks hooks;
  hooks.on_stage = [&](const std::string& stage) { denoising = stage == kDenoisingStage; };
  hooks.on_step = [&](int64_t, int64_t, int64_t) { ++steps; };
  hooks.stop = [&] {
    if (denoising && steps == 1 && ++blocks == 2) throw Cancelled();
  };
  EXPECT_THROW(editor.edit(request, hooks), Cancelled);
  EXPECT_EQ(steps, 1);
  EXPECT_EQ(editor.edit(request).front().image, whole);
}

TEST(Editor, WrongRequests) {
  Editor editor = tiny_editor();
  const EditRequest good = request_of("0");
  EditRequest bad = good;
  bad.instruction = " \n";
  EXPECT_THROW(editor.edit(bad), UsageError);
  bad = good;
  bad.num_images = 0;
  EXPECT_THROW(editor.edit(bad), UsageError);
  bad = good;
  bad.steps = 0;
  EXPECT_THROW(editor.edit(bad), UsageError);
  bad = good;
  bad.max_sequence_length = 513;
  EXPECT_THROW(editor.edit(bad), UsageError);
}

}  // namespace
}  // namespace icedit
