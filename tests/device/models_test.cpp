// The models on the pretend device, against what diffusers and transformers made.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "device/on_device.h"
#include "models/clip/text_encoder.h"
#include "models/flux/traced.h"
#include "models/t5/encoder.h"
#include "models/vae/autoencoder.h"

namespace icedit {
namespace {

using golden::close, golden::get;
using pretend::device, pretend::placed;

template <class Model>
Model load(const std::string& folder, LoadOptions options = {}) {
  options.device = device();
  const Path path = golden::path(folder);
  return Model::load(Checkpoint::open(path), JsonFile(path / "config.json"), options);
}

void expect_trace(const Trace& trace, const golden::Tensors& want, double tolerance,
                  const std::string& prefix = "") {
  size_t compared = 0;
  for (const auto& [name, tensor] : trace.tensors()) {
    const auto found = want.count(name) > 0 ? want.find(name) : want.find(prefix + name);
    if (found == want.end()) continue;
    EXPECT_EQ(tensor.device(), device()) << name;
    EXPECT_TRUE(close(tensor, found->second, tolerance)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 4u);
}

TEST(OnDevice, EveryIntermediateOfTheTransformerIsDiffusers) {
  const auto want = golden::load("transformer/forward.safetensors");
  const auto model = load<FluxTransformer>("tiny-fill/transformer");
  const auto in = placed(golden::flux_inputs(want));
  Trace trace;
  traced_forward(model, in.x, in.conditioning, in.t, in.guidance, trace);
  expect_trace(trace, want, golden::tolerance::kTransformer, "out.");
}

TEST(OnDevice, StoredOrConvertedHalfPrecisionGivesTheSame) {
  const auto want = golden::load("transformer/forward.safetensors");
  for (const bool stored : {false, true}) {
    const auto model =
        load<FluxTransformer>("tiny-fill-sharded/transformer", {.keep_stored = stored});
    const Tensor made = golden::forward(model, placed(golden::flux_inputs(want)));
    EXPECT_TRUE(close(made, get(want, "out.output"), golden::tolerance::kTransformer));
  }
}

// What bf16 products of our own the CPU has are for CPU tensors alone.
TEST(OnDevice, Bf16) {
  const auto want = golden::load("transformer/forward_bf16.safetensors");
  const auto model =
      load<FluxTransformer>("tiny-fill-sharded/transformer", {.compute = at::kBFloat16});
  const auto in =
      golden::flux_inputs(golden::load("transformer/forward.safetensors"), at::kBFloat16);
  const c10::InferenceMode inference;
  EXPECT_TRUE(close(golden::forward(model, placed(in)), get(want, "out.output"),
                    golden::tolerance::of(at::kBFloat16, 0)));
}

TEST(OnDevice, ModulationsMadeAheadAreThoseOfEachStep) {
  const auto model = load<FluxTransformer>("tiny-fill/transformer");
  const auto in = placed(golden::flux_inputs(golden::load("transformer/forward.safetensors")));
  const auto ahead =
      model.modulations({in.t, in.t * 0.5}, in.guidance, in.conditioning.pooled_prompt_embeds);
  EXPECT_TRUE(golden::equal(model.forward(in.x, in.conditioning, ahead[1]),
                            model.forward(in.x, in.conditioning, in.t * 0.5, in.guidance)));
}

TEST(OnDevice, TextEncoders) {
  const c10::InferenceMode inference;
  const auto want = golden::load("text/text.safetensors");
  Trace trace;
  const auto t5 = load<T5Encoder>("tiny-fill/text_encoder_2");
  const Tensor states = t5.forward(get(want, "t5.input_ids").to(device()), &trace);
  const auto clip = load<ClipTextEncoder>("tiny-fill/text_encoder");
  const ClipOutput read = clip.forward(get(want, "clip.input_ids").to(device()), &trace);
  expect_trace(trace, want, golden::tolerance::kText);
  EXPECT_TRUE(close(states, get(want, "t5.last_hidden_state"), golden::tolerance::kText));
  EXPECT_TRUE(close(read.pooled, get(want, "clip.pooled"), golden::tolerance::kText));
}

TEST(OnDevice, TheVaeTakesPicturesFromTheHost) {
  const c10::InferenceMode inference;
  const auto want = golden::load("vae/vae_48x32.safetensors");
  const auto vae = load<AutoencoderKl>("tiny-fill/vae");
  const auto moments = vae.encode(get(want, "input"));
  EXPECT_EQ(moments.mean.device(), device());
  EXPECT_TRUE(
      close(sample(moments, get(want, "noise")), get(want, "sample"), golden::tolerance::kVae));
  const Tensor latents = denormalise_latents(get(want, "latents"), vae.config());
  EXPECT_TRUE(close(vae.decode(latents), get(want, "decoded"), golden::tolerance::kVae));
}

}  // namespace
}  // namespace icedit
