// An adapter that does not fit the model, or does nothing, is an error.
#include "tiny_model.h"

namespace icedit {
namespace {

class Attach : public ::testing::Test {
 protected:
  std::string refused(const NamedTensors& tensors, const AttachOptions& options = {}) {
    const Path path = write_adapter(folder_, tensors);
    return error_of<CheckpointError>(
        [&] { attach_adapter(model_.linears(), AdapterFile::open(path), options); });
  }
  LoadedAdapter attached(const NamedTensors& tensors, const AttachOptions& options = {}) {
    return attach_adapter(model_.linears(), AdapterFile::open(write_adapter(folder_, tensors)),
                          options);
  }
  static NamedTensors pair(const std::string& module, int64_t out, int64_t in, double b = 1.0) {
    return {{"transformer." + module + ".lora_A.weight", at::ones({2, in})},
            {"transformer." + module + ".lora_B.weight", at::full({out, 2}, b)}};
  }
  static NamedTensors both(NamedTensors x, const NamedTensors& y) {
    x.insert(y.begin(), y.end());
    return x;
  }
  static AttachOptions partial() {
    AttachOptions options;
    options.allow_partial = true;
    return options;
  }
  static AttachOptions zero() {
    AttachOptions options;
    options.allow_zero = true;
    return options;
  }

  TemporaryFolder folder_;
  FluxTransformer model_ = tiny_model();
  const NamedTensors good_ = pair("transformer_blocks.0.attn.to_q", 32, 32);
};

TEST_F(Attach, ModuleThatTheModelHasNot) {
  const auto tensors = both(good_, pair("transformer_blocks.7.attn.to_q", 32, 32));
  const std::string error = refused(tensors);
  EXPECT_TRUE(has(error,
                  "'transformer.transformer_blocks.7.attn.to_q.lora_A.weight' is for "
                  "transformer_blocks.7.attn.to_q, which the model does not have (the nearest are "
                  "[transformer_blocks.0.attn.to_q"));
  EXPECT_TRUE(has(error, "--lora-allow-partial"));
  const LoadedAdapter adapter = attached(tensors, partial());
  EXPECT_EQ(adapter.layers().size(), 1u);
  EXPECT_EQ(adapter.report().tensors, 2u);
  EXPECT_EQ(adapter.report().tensors_in_file, 4u);
  EXPECT_EQ(adapter.report().unmatched.size(), 2u);
}

TEST_F(Attach, TensorOfNoLayout) {
  const auto tensors = both(good_, {{"transformer.extra", at::ones({2})}});
  EXPECT_TRUE(has(refused(tensors), "'transformer.extra' has a name that no layout has"));
  EXPECT_EQ(attached(tensors, partial()).report().unmatched,
            (std::vector<std::string>{"transformer.extra"}));
}

TEST_F(Attach, WrongShapes) {
  EXPECT_TRUE(has(refused(both(good_, pair("transformer_blocks.0.attn.to_k", 48, 32))),
                  "to_k.lora_B.weight' is [48, 2], expected [32, 2]"));
  EXPECT_TRUE(has(refused(both(good_, pair("transformer_blocks.0.attn.to_k", 32, 64))),
                  "to_k.lora_A.weight' is [2, 64], expected [2, 32]"));
  EXPECT_EQ(attached(both(good_, pair("transformer_blocks.0.attn.to_k", 48, 32)), partial())
                .layers()
                .size(),
            1u);
}

TEST_F(Attach, NothingFits) {
  // partial or not: an adapter that does nothing is no success.
  for (const AttachOptions& options : {AttachOptions{}, partial()}) {
    const std::string error = refused(pair("transformer_blocks.0.attn.to_q", 3072, 3072), options);
    EXPECT_TRUE(has(error, "none of its 1 layers fits the model"));
    EXPECT_TRUE(has(error, "Was it made for another model?"));
    EXPECT_TRUE(has(error, "[3072, 2], expected [32, 2]"));
    EXPECT_TRUE(has(refused(pair("unet.mid.attn", 32, 32), options), "the nearest are ["));
  }
}

TEST_F(Attach, AllZeroB) {
  const auto zeros = pair("transformer_blocks.0.attn.to_q", 32, 32, 0.0);
  EXPECT_TRUE(has(refused(zeros), "every lora_B is all zero, so it changes nothing"));
  EXPECT_TRUE(has(refused(zeros, partial()), "every lora_B is all zero"));
  EXPECT_EQ(attached(zeros, zero()).layers().size(), 1u);
  const auto some = both(good_, pair("transformer_blocks.0.attn.to_k", 32, 32, 0.0));
  EXPECT_TRUE(has(refused(some), "to_k.lora_B.weight' is all zero"));
  EXPECT_EQ(attached(some, partial()).layers().size(), 2u);
}

TEST_F(Attach, MixturesShapesAndZeros) {
  const auto mixture = [](int64_t in, int64_t out, double b0, double b1) {
    const std::string head = "transformer.transformer_blocks.0.ff.net.2.lora_";
    return NamedTensors{{head + "route.weight", at::ones({2, in})},
                        {head + "A.expert_0.weight", at::ones({4, in})},
                        {head + "A.expert_1.weight", at::ones({4, in})},
                        {head + "B.expert_0.weight", at::full({out, 4}, b0)},
                        {head + "B.expert_1.weight", at::full({out, 4}, b1)}};
  };
  EXPECT_EQ(attached(mixture(128, 32, 0, 1)).layers().size(),
            1u);  // an expert that was never picked
  EXPECT_TRUE(has(refused(mixture(128, 32, 0, 0)), "all zero"));
  EXPECT_TRUE(
      has(refused(mixture(64, 32, 1, 1)), "lora_route.weight' is [2, 64], expected [2, 128]"));
  EXPECT_TRUE(
      has(refused(mixture(128, 64, 1, 1)), "lora_B.expert_0.weight' is [64, 4], expected [32, 4]"));
}

TEST_F(Attach, ScaleMustBeANumber) {
  AttachOptions options;
  options.scale = NAN;
  EXPECT_TRUE(has(error_of<UsageError>([&] { attached(good_, options); }), "the scale is nan"));
}

TEST_F(Attach, FailingLeavesTheModelAsItWas) {
  const auto t = golden::load("lora/forward.safetensors");
  refused(both(good_, pair("transformer_blocks.7.attn.to_q", 32, 32)));
  EXPECT_TRUE(
      golden::equal(forward(model_, flux_inputs(t)), forward(tiny_model(), flux_inputs(t))));
}

TEST_F(Attach, FewerInputsArePadded) {
  const LoadedAdapter adapter = attached(pair("x_embedder", 32, 64));
  EXPECT_EQ(adapter.layers().at(0).adapter->a[0].size(1), 384);
  EXPECT_EQ(adapter.layers().at(0).adapter->a[0].sum().item<double>(), 128);
}

TEST(AttachNano, TheEmbeddedLoraFitsTheEmbeddedModel) {
  const Path nano = Path(ICEDIT_SOURCE) / "models/nano";
  const Path transformer = nano / "model/transformer";
  auto model = FluxTransformer::load(Checkpoint::open(transformer),
                                     JsonFile(transformer / "config.json"), {});
  const LoadedAdapter adapter = attach_adapter(model.linears(), AdapterFile::open(nano / "lora"));
  EXPECT_EQ(adapter.report().tensors, adapter.report().tensors_in_file);
  EXPECT_GT(adapter.report().relative_delta, 0.001);
  // Stored in f16, computed in f32 as the model is.
  EXPECT_EQ(adapter.layers().at(0).adapter->a[0].scalar_type(), at::kFloat);
}

TEST_F(Attach, TrainableTensorsAreLeavesOfTheirOwn) {
  AttachOptions options = zero();
  options.trainable = true;
  const LoadedAdapter adapter =
      attached(pair("transformer_blocks.0.attn.to_q", 32, 32, 0.0), options);
  for (const auto& [name, tensor] : adapter.tensors()) {
    EXPECT_TRUE(tensor.is_leaf() && tensor.requires_grad()) << name;
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
  }
}

}  // namespace
}  // namespace icedit
