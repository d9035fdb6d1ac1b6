// A pipeline of another shape than the goldens' tiny-fill: VAE scale 4, no guidance embedding,
// sharded bf16, two pictures of one draw, a height that is no multiple of a token.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edit/pipeline.h"
#include "flux_inputs.h"

namespace icedit {
namespace {

Editor more_editor(DtypeChoice dtype) {
  ModelRequest request;
  request.model = golden::path("more_pipeline").string();
  request.clip = golden::path("tiny-fill/text_encoder").string();
  request.t5 = golden::path("tiny-fill/text_encoder_2").string();
  request.tokenizer = golden::path("tiny-fill/tokenizer").string();
  request.tokenizer_2 = golden::path("tiny-fill/tokenizer_2").string();
  ResidencyOptions options;
  options.dtype = dtype;
  return Editor(ModelFiles::find(request), options);
}

EditRequest more_request() {
  const auto s = nlohmann::json::parse(read_file(golden::path("more_pipeline/settings.json")));
  EditRequest request;
  request.source = read_image(golden::path("more_pipeline/source.png"));
  request.instruction = s["prompt"];
  request.seed = s["seed"];
  request.steps = s["steps"];
  request.guidance = s["guidance"];
  request.width = s["width"];
  request.max_sequence_length = s["t5_length"];
  request.sizing = Sizing::kIcedit;
  request.num_images = 2;
  request.batch_noise = true;
  return request;
}

Tensor bytes(const Image& image) {
  return at::from_blob(const_cast<uint8_t*>(image.pixels.data()), {image.height, image.width, 3},
                       at::kByte)
      .clone();
}

TEST(MorePipeline, TwoPicturesOfOneDrawAreDiffusers) {
  const auto golden = golden::load("more_pipeline/case.safetensors");
  const auto edited = more_editor(DtypeChoice::kF32).edit(more_request());
  ASSERT_EQ(edited.size(), 2u);
  const Tensor images = golden::get(golden, "images");
  for (int64_t i = 0; i < 2; ++i) {
    const Tensor difference =
        (bytes(edited[i].diptych).to(at::kInt) - images[i].to(at::kInt)).abs();
    EXPECT_LE(difference.max().item<int>(), 1) << "picture " << i;
    EXPECT_LE((difference > 0).sum().item<int64_t>(), difference.numel() / 100) << "picture " << i;
  }
  // The published script cuts with the height before rounding: four black rows.
  EXPECT_EQ(edited[0].image.height, 52);
  EXPECT_EQ(*edited[0].image.at(5, 51), 0);
}

TEST(MorePipeline, Bf16DrawsDiffusersNoiseAndComesClose) {
  const Tensor want = golden::get(golden::load("more_pipeline/case.safetensors"), "bf16.images");
  const Tensor f32 = golden::get(golden::load("more_pipeline/case.safetensors"), "images");
  const auto edited = more_editor(DtypeChoice::kBF16).edit(more_request());
  for (int64_t i = 0; i < 2; ++i) {
    const Tensor got = bytes(edited[i].diptych).to(at::kFloat);
    const double distance = (got - want[i].to(at::kFloat)).abs().mean().item<double>();
    const double other_noise =
        (f32[i].to(at::kFloat) - want[i].to(at::kFloat)).abs().mean().item<double>();
    EXPECT_LT(distance, 0.1 * other_noise)
        << "picture " << i << ": mean distance " << distance << " of 255";
  }
}

TEST(MorePipeline, TwoRowsOfOneBatchThroughTheTransformer) {
  const auto golden = golden::load("more_pipeline/transformer_case.safetensors");
  const Path folder = golden::path("more_pipeline/transformer");
  const FluxTransformer model =
      FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
  EXPECT_TRUE(golden::close(golden::forward(model, golden::flux_inputs(golden)),
                            golden::get(golden, "out.output"), golden::tolerance::kTransformer));
}

}  // namespace
}  // namespace icedit
