// Whole models from GGUF files, in the names that stable-diffusion.cpp, ComfyUI-GGUF and llama.cpp
// give them.
#include <c10/core/InferenceMode.h>

#include "base/error.h"
#include "flux_inputs.h"
#include "models/single_file.h"
#include "models/t5/encoder.h"
#include "nn/ggml_quantise.h"

namespace icedit {
namespace {

class FluxFromGguf : public ::testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(FluxFromGguf, GivesWhatTheDequantisedWeightsGive) {
  const auto [type, keep] = GetParam();
  const std::string name = str("gguf/tiny-fill-", type);
  const auto want = golden::load(name + "_forward.safetensors");
  LoadOptions options;
  options.keep_stored = keep;
  const FluxTransformer model =
      FluxTransformer::load(flux_single_file(Checkpoint::open(golden::path(name + ".gguf"))),
                            JsonFile(golden::path("tiny-fill/transformer/config.json")), options);
  const Tensor got = golden::forward(model, golden::flux_inputs(want));
  EXPECT_TRUE(golden::close(got, golden::get(want, "output"), 5e-6));
  EXPECT_FALSE(golden::close(got, golden::get(want, "output_unquantised"), 5e-6));
}

INSTANTIATE_TEST_SUITE_P(Types, FluxFromGguf,
                         ::testing::Combine(::testing::Values("q8_0", "q4_0"), ::testing::Bool()));

TEST(T5FromGguf, GivesWhatTheDequantisedWeightsGive) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("gguf/tiny-t5-q8_0_forward.safetensors");
  for (const bool keep : {false, true}) {
    LoadOptions options;
    options.keep_stored = keep;
    const T5Encoder t5 =
        T5Encoder::load(t5_single_file(Checkpoint::open(golden::path("gguf/tiny-t5-q8_0.gguf"))),
                        JsonFile(golden::path("tiny-fill/text_encoder_2/config.json")), options);
    EXPECT_TRUE(golden::close(t5.forward(golden::get(want, "input_ids")),
                              golden::get(want, "last_hidden_state"), 1e-5));
  }
}

TEST(FluxFromGguf, UnderAPrefixToo) {
  const Checkpoint plain = Checkpoint::open(golden::path("gguf/tiny-fill-q8_0.gguf"));
  const Checkpoint prefixed =
      plain.renamed([](const std::string& name) { return "model.diffusion_model." + name; });
  EXPECT_EQ(flux_single_file(prefixed).entries().size(), flux_single_file(plain).entries().size());
}

class BlocksOfF32 : public ::testing::TestWithParam<const char*> {};

TEST_P(BlocksOfF32, BytesAreTheReferences) {
  const Checkpoint file =
      flux_single_file(Checkpoint::open(golden::path(str("gguf/tiny-fill-", GetParam(), ".gguf"))));
  const Checkpoint source = Checkpoint::open(golden::path("tiny-fill/transformer"));
  int compared = 0;
  for (const auto& [name, entry] : file.entries()) {
    if (dtype_block(entry.info.dtype) == 1 || entry.swap_halves) continue;
    const Tensor blocks = blocks_of(mapped_tensor(source.entry(name)), entry.info.dtype);
    const Bytes want = entry.bytes();
    ASSERT_EQ(blocks.nbytes(), want.size()) << name;
    EXPECT_EQ(std::memcmp(blocks.const_data_ptr(), want.data(), want.size()), 0) << name;
    ++compared;
  }
  EXPECT_GT(compared, 30);
}

INSTANTIATE_TEST_SUITE_P(Types, BlocksOfF32, ::testing::Values("q8_0", "q4_0"));

}  // namespace
}  // namespace icedit
