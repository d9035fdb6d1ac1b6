// LoRA files of every layout against what diffusers and peft make of them.
#include <c10/core/InferenceMode.h>

#include <thread>

#include "tiny_model.h"

namespace icedit {
namespace {

using golden::tolerance::kLora;

class Lora : public ::testing::Test {
 protected:
  Lora() : t_(golden::load("lora/forward.safetensors")), in_(flux_inputs(t_)) {}

  ::testing::AssertionResult is(const std::string& name) const {
    return golden::close(forward(model_, in_), golden::get(t_, "out." + name), kLora);
  }
  LoadedAdapter attach(const std::string& file, double scale = 1.0) {
    AttachOptions options;
    options.scale = scale;
    return attach_adapter(model_.linears(), open_golden(file), options);
  }

  FluxTransformer model_ = tiny_model();
  golden::Tensors t_;
  FluxInputs in_;
};

TEST_F(Lora, DiffusersLayoutAtEveryScaleWithoutReloading) {
  EXPECT_TRUE(is("base"));
  for (const std::string name : {"alpha4", "alpha8"}) {
    LoadedAdapter adapter = attach("lora/" + name);
    for (const std::string scale : {"1.0", "0.5", "0.25"}) {
      adapter.set_scale(std::stod(scale));
      EXPECT_TRUE(is(name + ".loaded.scale" + scale));
    }
    adapter.set_scale(0);
    EXPECT_TRUE(is("base"));
    EXPECT_TRUE(golden::equal(forward(model_, in_), forward(tiny_model(), in_)));
    adapter.set_scale(1);
    EXPECT_TRUE(is(name + ".loaded.scale1.0"));
    adapter.detach();
    EXPECT_TRUE(is("base"));
  }
}

TEST_F(Lora, AlphaIsTheRankOnlyWhereItIsNotStated) {
  const AdapterFile bare = open_golden("lora/alpha8"), stated = open_golden("lora/alpha8_metadata");
  EXPECT_EQ(bare.modules.at(0).alpha, 4);
  EXPECT_EQ(stated.modules.at(0).alpha, 8);
  ASSERT_EQ(bare.notes.size(), 1u);
  EXPECT_TRUE(has(bare.notes[0], "no alpha is stated; alpha = rank"));
  EXPECT_TRUE(stated.notes.empty());
}

TEST_F(Lora, MetadataGivesWhatWasTrained) {
  LoadedAdapter adapter = attach("lora/alpha8_metadata");
  EXPECT_TRUE(is("alpha8_metadata.loaded.scale1.0"));
  EXPECT_TRUE(is("alpha8.trained"));
  adapter.detach();
  attach("lora/alpha4_metadata");
  EXPECT_TRUE(is("alpha4.trained"));
}

TEST_F(Lora, PeftFolder) {
  LoadedAdapter adapter = attach("lora/alpha8_peft");
  EXPECT_EQ(open_golden("lora/alpha8_peft").layout, "peft");
  EXPECT_TRUE(is("alpha8.trained"));
  adapter.detach();
  // The file alone finds its config beside it.
  attach("lora/alpha4_peft/adapter_model.safetensors");
  EXPECT_TRUE(is("alpha4.trained"));
}

TEST_F(Lora, TwoAtOnce) {
  attach("lora/alpha4");
  attach("lora/second", 0.5);
  EXPECT_TRUE(is("alpha4_and_second.scale1.0_0.5"));
}

TEST_F(Lora, Kohya) {
  const LoadedAdapter adapter = attach("lora/kohya/lora.safetensors");
  EXPECT_TRUE(is("kohya.scale1.0"));
  EXPECT_EQ(adapter.report().tensors, 87u);  // 29 fused modules of three tensors
  EXPECT_EQ(adapter.layers().size(), 46u);
}

TEST_F(Lora, KohyaFactorsAreDiffusersOnes) {
  const auto want = golden::load("lora/kohya/as_diffusers.safetensors");
  const AdapterFile file = open_golden("lora/kohya/lora.safetensors");
  EXPECT_EQ(file.layout, "kohya");
  ASSERT_EQ(2 * file.modules.size(), want.size());
  for (const AdapterModule& lora : file.modules) {
    const std::string head = "transformer." + lora.module + ".lora_";
    EXPECT_TRUE(golden::equal(lora.a[0] * (lora.alpha / 4), golden::get(want, head + "A.weight")))
        << head;
    EXPECT_TRUE(golden::equal(lora.b[0], golden::get(want, head + "B.weight"))) << head;
  }
}

// As FLUX.1-Turbo-Alpha and Hyper-FLUX are stored: diffusers' names, every linear layer, half
// precision, no alpha, and 64 columns for x_embedder, where FLUX.1 Fill has 384.
TEST_F(Lora, AFewStepLoraOfFluxDevBesideIceditsOwn) {
  NamedTensors few_steps;
  at::manual_seed(7);
  for (const auto& [name, linear] : model_.linears()) {
    const auto shape = linear.weight().sizes();
    const int64_t columns = name == "x_embedder" ? 64 : shape[1];
    few_steps["transformer." + name + ".lora_A.weight"] =
        (at::randn({4, columns}) / 4).to(at::kHalf);
    few_steps["transformer." + name + ".lora_B.weight"] = at::randn({shape[0], 4}).to(at::kHalf);
  }
  const TemporaryFolder folder;
  AttachOptions options;
  options.scale = 0.125;
  const auto together = [&](const NamedTensors& tensors) {
    FluxTransformer model = tiny_model();
    attach_adapter(model.linears(), open_golden("lora/alpha8_metadata"));
    const LoadedAdapter adapter =
        attach_adapter(model.linears(), AdapterFile::open(write_adapter(folder, tensors)), options);
    EXPECT_EQ(adapter.report().tensors, tensors.size());
    return forward(model, in_);
  };
  const Tensor got = together(few_steps);
  attach("lora/alpha8_metadata");
  EXPECT_FALSE(at::allclose(got, forward(model_, in_), 1e-3));
  Tensor& narrow = few_steps.at("transformer.x_embedder.lora_A.weight");
  narrow = at::constant_pad_nd(narrow, {0, 384 - 64});
  EXPECT_TRUE(golden::equal(got, together(few_steps)));
}

TEST_F(Lora, ThreadsShareAModel) {
  std::vector<FluxInputs> inputs(2, in_);
  inputs[1].x = in_.x.flip(1);
  const auto run = [&](size_t i) {
    const c10::InferenceMode inference;
    return forward(model_, inputs[i]);
  };
  for (int repetition = 0; repetition < 3; ++repetition) {
    for (const bool folded : {false, true}) {
      LoadedAdapter adapter = attach("lora/alpha8", 1.0 + repetition);
      if (folded) adapter.set_scale(1.5 + repetition);
      std::vector<Tensor> together(2);
      std::thread other([&] { together[1] = run(1); });
      together[0] = run(0);
      other.join();
      for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(golden::equal(together[i], run(i))) << folded;
      adapter.detach();
    }
  }
}

TEST_F(Lora, ReportSaysWhatWasDone) {
  const LoadedAdapter adapter = attach("lora/alpha8_metadata", 0.5);
  const AttachReport& report = adapter.report();
  EXPECT_EQ(report.tensors, 62u);
  EXPECT_EQ(report.tensors_in_file, 62u);
  EXPECT_EQ(report.layers, 31u);
  EXPECT_EQ(report.blocks, 6u);  // 2 double, 3 single, x_embedder
  double delta = 0, weight = 0;
  std::map<std::string, Linear> linears(model_.linears().begin(), model_.linears().end());
  for (const auto& layer : adapter.layers()) {
    const Tensor product = at::mm(layer.adapter->b[0], layer.adapter->a[0]) * (8.0 / 4.0);
    delta += std::pow(product.norm().item<double>() * 0.5, 2);
    weight += std::pow(layer.linear.weight().norm().item<double>(), 2);
  }
  EXPECT_NEAR(report.relative_delta, std::sqrt(delta / weight), 1e-6);
  EXPECT_TRUE(has(report.line, "62 of 62 tensors on 31 layers in 6 blocks, rank 4, delta "));
}

TEST_F(Lora, InBf16TheAdapterTakesTheModelsDtype) {
  const auto t = golden::load("more_lora/forward.safetensors");
  LoadOptions options;
  options.compute = at::kBFloat16;
  FluxTransformer model = tiny_model(options);
  const LoadedAdapter adapter =
      attach_adapter(model.linears(), open_golden("lora/alpha8_metadata"));
  EXPECT_EQ(adapter.layers().at(0).adapter->a[0].scalar_type(), at::kBFloat16);
  const Tensor got = forward(model, flux_inputs(t, at::kBFloat16));
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(golden::close(got, golden::get(t, "out.bf16.alpha8_metadata"),
                            golden::tolerance::of(at::kBFloat16, 0)));
}

TEST_F(Lora, WideFactorsAreNotNarrowed) {
  // As in training: a bf16 base with f32 factors; the sum is rounded once.
  AdapterLayer layer;
  layer.a = {at::randn({4, 32})};
  layer.b = {at::randn({16, 4})};
  layer.alpha = 8;
  layer.scale = std::make_shared<double>(1.0);
  const Tensor x = at::randn({2, 5, 32}).to(at::kBFloat16),
               y = at::randn({2, 5, 16}).to(at::kBFloat16);
  const Tensor want =
      y.to(at::kFloat) + at::linear(at::linear(x.to(at::kFloat), layer.a[0]), layer.b[0]) * 2;
  EXPECT_TRUE(golden::equal(layer.add_to(y, x), want.to(at::kBFloat16)));
}

// What autograd makes of the operations one by one. The factors' gradients are sums of 100,000
// terms, whose rounding depends on their order: so both are measured from f64.
TEST_F(Lora, WideFactorsGetTheirGradients) {
  constexpr int64_t kRows = 50000;  // more than are widened at once
  at::Generator rng = at::detail::createCPUGenerator(5);
  const auto randn = [&](const Shape& shape, at::ScalarType type) {
    return at::randn(shape, rng, at::kFloat).to(type).requires_grad_(true);
  };
  AdapterLayer layer;
  layer.a = {randn({4, 32}, at::kFloat)};
  layer.b = {randn({16, 4}, at::kFloat)};
  layer.alpha = 8;
  layer.scale = std::make_shared<double>(1.0);
  const Tensor x = randn({2, kRows, 32}, at::kBFloat16), y = randn({2, kRows, 16}, at::kBFloat16);
  const Tensor weight = randn({2, kRows, 16}, at::kBFloat16).detach();
  const std::vector<Tensor> leaves = {y, x, layer.a[0], layer.b[0]};
  (layer.add_to(y, x) * weight).sum().backward();
  const auto one_by_one = [&](at::ScalarType wide) {
    std::vector<Tensor> own, grads;
    for (const Tensor& leaf : leaves) own.push_back(leaf.detach().to(wide).requires_grad_(true));
    const Tensor delta = at::linear(at::linear(own[1], own[2]), own[3]) * layer.scaling();
    ((own[0] + delta) * weight.to(wide)).sum().backward();
    for (const Tensor& leaf : own) grads.push_back(leaf.grad().to(at::kDouble));
    return grads;
  };
  const std::vector<Tensor> f32 = one_by_one(at::kFloat), exact = one_by_one(at::kDouble);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor got = leaves[i].grad();
    ASSERT_EQ(got.scalar_type(), leaves[i].scalar_type());
    if (got.scalar_type() == at::kBFloat16) {  // rounded once
      EXPECT_TRUE(golden::close(got, exact[i], 4e-3)) << i;
      continue;
    }
    const double off = (got - exact[i]).norm().item<double>();
    EXPECT_LT(off, 2 * (f32[i] - exact[i]).norm().item<double>()) << i;
    EXPECT_LT(off, 2e-5 * exact[i].norm().item<double>()) << i;
  }
}

// more_lora/: a file and the output with it.
class LoraLayouts : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(LoraLayouts, GivesDiffusersOutput) {
  const auto t = golden::load("more_lora/forward.safetensors");
  const auto [name, layout] = GetParam();
  const Path folder = golden::path(str("more_lora/", name));
  const bool is_folder = std::filesystem::is_directory(folder);
  const AdapterFile file =
      AdapterFile::open(is_folder ? folder : Path(folder.string() + ".safetensors"));
  EXPECT_EQ(file.layout, layout);
  EXPECT_TRUE(file.unmatched.empty());
  FluxTransformer model = tiny_model();
  const LoadedAdapter adapter = attach_adapter(model.linears(), file);
  EXPECT_EQ(adapter.report().tensors, adapter.report().tensors_in_file);
  EXPECT_TRUE(
      golden::close(forward(model, flux_inputs(t)), golden::get(t, str("out.", name)), kLora));
}

INSTANTIATE_TEST_SUITE_P(
    All, LoraLayouts,
    ::testing::Values(std::pair{"peft_patterns", "peft"}, std::pair{"peft_rslora", "peft"},
                      std::pair{"metadata_patterns", "diffusers"},
                      std::pair{"dev_width", "diffusers"}, std::pair{"alpha_tensors", "diffusers"},
                      std::pair{"old_names", "diffusers"}, std::pair{"half", "diffusers"},
                      std::pair{"comfy", "bfl"}, std::pair{"comfy_peft_names", "bfl"},
                      std::pair{"onetrainer", "kohya"}, std::pair{"xlabs", "xlabs"}),
    [](const auto& info) { return std::string(info.param.first); });

// alpha / rank is what it was trained with, and what ComfyUI applies. diffusers' conversion leaves
// the alpha of the last two layers out, so its output is that of a file where they are the rank.
TEST(KohyaFinalLayer, HasItsAlphaAsEveryOtherLayer) {
  const auto t = golden::load("more_lora/forward.safetensors");
  const auto given = golden::load("more_lora/kohya_all.safetensors");
  const auto converted = golden::load("more_lora/kohya_all_as_diffusers.safetensors");
  const std::map<std::string, std::string> last = {
      {"proj_out", "lora_unet_final_layer_linear"},
      {"norm_out.linear", "lora_unet_final_layer_adaLN_modulation_1"}};
  NamedTensors tensors(given.begin(), given.end());
  size_t seen = 0;
  bool differs = false;  // one of the two is not the rank
  for (const AdapterModule& module : open_golden("more_lora/kohya_all.safetensors").modules) {
    const auto found = last.find(module.module);
    if (found == last.end()) continue;
    const double alpha = tensors.at(found->second + ".alpha").item<double>();
    const std::string head = "transformer." + module.module + ".lora_";
    const Tensor whole = at::mm(golden::get(converted, head + "B.weight"),
                                golden::get(converted, head + "A.weight"));
    differs = differs || alpha != 4;
    EXPECT_TRUE(golden::close(module.delta(module.scaling()), whole * (alpha / 4), 1e-6));
    tensors[found->second + ".alpha"] = at::full({}, 4.0);
    ++seen;
  }
  EXPECT_EQ(seen, 2u);
  EXPECT_TRUE(differs);
  const TemporaryFolder folder;
  FluxTransformer model = tiny_model();
  attach_adapter(model.linears(), AdapterFile::open(write_adapter(folder, tensors)));
  EXPECT_TRUE(
      golden::close(forward(model, flux_inputs(t)), golden::get(t, "out.kohya_all"), kLora));
}

TEST(LoraNotes, SkippedTextEncodersAreSaid) {
  const AdapterFile file = open_golden("more_lora/kohya_all.safetensors");
  EXPECT_EQ(file.skipped.size(), 3u);
  std::string notes;
  for (const auto& note : file.notes) notes += note + "\n";
  EXPECT_TRUE(has(notes, "3 tensors are skipped"));
  EXPECT_TRUE(has(notes, "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"));
  EXPECT_TRUE(has(notes, "no alpha is stated for "));
}

TEST(LoraNotes, ProductNormIsThatOfTheProduct) {
  const Tensor a = at::randn({3, 50}), b = at::randn({40, 3});
  EXPECT_NEAR(product_norm(a, b), at::mm(b, a).norm().item<double>(), 1e-3);
  EXPECT_TRUE(
      golden::close(AdapterModule{.a = {a}, .b = {b}}.delta(0.5), at::mm(b, a) * 0.5, 1e-6));
}

}  // namespace
}  // namespace icedit
