#include <c10/core/InferenceMode.h>

#include "base/error.h"
#include "errors.h"
#include "golden.h"
#include "models/vae/autoencoder.h"

namespace icedit {
namespace {

using golden::close;
using golden::get;

AutoencoderKl load(const std::string& folder, const LoadOptions& options = {}) {
  return AutoencoderKl::load(Checkpoint::open(golden::path(folder)),
                             JsonFile(golden::path(folder + "/config.json")), options);
}

void expect_trace(const Trace& trace, const golden::Tensors& want, size_t count) {
  EXPECT_EQ(trace.tensors().size(), count);
  for (const auto& [name, tensor] : trace.tensors()) {
    EXPECT_TRUE(close(tensor, get(want, name), golden::tolerance::kVae)) << name;
  }
}

class VaeGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(VaeGolden, EncodesSamplesAndNormalises) {
  const c10::InferenceMode no_grad;
  const AutoencoderKl vae = load("tiny-fill/vae");
  const auto want = golden::load(GetParam());
  Trace trace;
  const auto moments = vae.encode(get(want, "input"), &trace);
  EXPECT_TRUE(close(moments.mean, get(want, "mean"), golden::tolerance::kVae));
  EXPECT_TRUE(close(moments.logvar, get(want, "logvar"), golden::tolerance::kVae));
  const Tensor z = sample(moments, get(want, "noise"));
  EXPECT_TRUE(close(z, get(want, "sample"), golden::tolerance::kVae));
  const Tensor normalised = normalise_latents(z, vae.config());
  EXPECT_TRUE(close(normalised, get(want, "normalised"), golden::tolerance::kVae));
  EXPECT_TRUE(close(denormalise_latents(normalised, vae.config()), z, 1e-6));
  if (want.count("encoder.conv_in")) expect_trace(trace, want, 6);
}

TEST_P(VaeGolden, Decodes) {
  const c10::InferenceMode no_grad;
  const AutoencoderKl vae = load("tiny-fill/vae");
  const auto want = golden::load(GetParam());
  Trace trace;
  const Tensor decoded =
      vae.decode(denormalise_latents(get(want, "latents"), vae.config()), &trace);
  EXPECT_TRUE(close(decoded, get(want, "decoded"), golden::tolerance::kVae));
  const Tensor pixels = (decoded * 0.5 + 0.5).clamp(0, 1).permute({0, 2, 3, 1}).mul(255).round();
  EXPECT_LE((pixels - get(want, "decoded_uint8").to(at::kFloat)).abs().max().item<float>(), 1.0f);
  if (want.count("decoder.mid_block")) expect_trace(trace, want, 5);
}

INSTANTIATE_TEST_SUITE_P(Sizes, VaeGolden,
                         ::testing::Values("vae/vae_48x32.safetensors",
                                           "vae/vae_64x64.safetensors"),
                         [](const auto& info) { return info.param.substr(8, 5); });

class VaeOfOtherShape : public ::testing::TestWithParam<std::string> {};

// The error of half precision against f32 may be twice that of diffusers at most.
void expect_half(const AutoencoderKl& vae, const golden::Tensors& want) {
  const auto error = [](const Tensor& got, const Tensor& exact) {
    return ((got.to(at::kFloat) - exact).abs().max() / exact.abs().max()).item<double>();
  };
  const auto expect = [&](const std::string& name, const Tensor& got) {
    EXPECT_EQ(got.scalar_type(), at::kBFloat16);
    const double theirs = error(get(want, "bf16." + name), get(want, name));
    const double ours = error(got, get(want, name));
    ::testing::Test::RecordProperty("bf16_error_" + name, str(ours, " (diffusers ", theirs, ")"));
    EXPECT_LE(ours, 2 * theirs) << name;
  };
  const auto moments = vae.encode(get(want, "input"));
  expect("mean", moments.mean);
  expect("logvar", moments.logvar);
  expect("decoded", vae.decode(get(want, "latents")));
}

TEST_P(VaeOfOtherShape, AsDiffusers) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load(GetParam() + "/case.safetensors");
  const AutoencoderKl vae = load(GetParam());
  const auto moments = vae.encode(get(want, "input"));
  EXPECT_TRUE(close(moments.mean, get(want, "mean"), golden::tolerance::kMore));
  EXPECT_TRUE(close(moments.logvar, get(want, "logvar"), golden::tolerance::kMore));
  EXPECT_TRUE(
      close(vae.decode(get(want, "latents")), get(want, "decoded"), golden::tolerance::kMore));
  if (want.count("bf16.mean")) expect_half(load(GetParam(), {.compute = at::kBFloat16}), want);
}

INSTANTIATE_TEST_SUITE_P(More, VaeOfOtherShape,
                         ::testing::Values("more/vae_scale4_batch2", "more/vae_quant",
                                           "more/vae_five_blocks", "more/vae_one_block"),
                         [](const auto& info) { return info.param.substr(9); });

TEST(Vae, MatricesKeptAsStoredGiveTheSame) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("more/vae_quant/case.safetensors");
  const AutoencoderKl converted = load("more/vae_quant");
  const AutoencoderKl stored = load("more/vae_quant", {.keep_stored = true});
  EXPECT_TRUE(
      golden::equal(stored.decode(get(want, "latents")), converted.decode(get(want, "latents"))));
}

// Callers look at the results as other shapes, which channels last would forbid.
TEST(Vae, ResultsAreContiguous) {
  const c10::InferenceMode no_grad;
  const auto want = golden::load("more/vae_scale4_batch2/case.safetensors");
  const AutoencoderKl vae = load("more/vae_scale4_batch2");
  const auto moments = vae.encode(get(want, "input"));
  EXPECT_TRUE(moments.mean.is_contiguous() && moments.logvar.is_contiguous());
  EXPECT_TRUE(vae.decode(get(want, "latents")).is_contiguous());
}

TEST(Vae, ItsInPlaceStepsLeaveTheInputAndTheGradientsAlone) {
  const auto want = golden::load("more/vae_scale4_batch2/case.safetensors");
  const AutoencoderKl vae = load("more/vae_scale4_batch2");
  const Tensor latents = get(want, "latents").clone().requires_grad_(true);
  const Tensor decoded = vae.decode(latents);
  EXPECT_TRUE(golden::equal(latents, get(want, "latents")));
  // A central difference along one direction, in place of a second implementation.
  const Tensor direction = at::ones_like(latents) / std::sqrt(latents.numel());
  decoded.sum().backward();
  const double slope = (latents.grad() * direction).sum().item<double>();
  const c10::InferenceMode no_grad;
  const auto at_step = [&](double step) {
    return vae.decode(latents.detach() + step * direction).sum(at::kDouble).item<double>();
  };
  const double numeric = (at_step(0.01) - at_step(-0.01)) / 0.02;
  EXPECT_NEAR(slope, numeric, 0.01 * std::abs(numeric) + 0.05);
}

TEST(Vae, InputsOfAnotherShapeAreNamed) {
  const AutoencoderKl vae = load("tiny-fill/vae");
  const auto encode = [&](const Tensor& x) { return error_of<UsageError>([&] { vae.encode(x); }); };
  EXPECT_EQ(encode(at::zeros({3, 32, 32})),
            "image: expected [B, 3, H, W] with H and W at least 8, got [3, 32, 32]");
  EXPECT_EQ(encode(at::zeros({1, 4, 32, 32})),
            "image: expected [B, 3, H, W] with H and W at least 8, got [1, 4, 32, 32]");
  EXPECT_TRUE(has(encode(at::zeros({1, 3, 32, 7})), "got [1, 3, 32, 7]"));
  EXPECT_TRUE(has(encode(at::zeros({0, 3, 32, 32})), "got [0, 3, 32, 32]"));
  EXPECT_EQ(encode(at::zeros({1, 3, 8, 8}, at::kByte)), "image: expected floating point, got Byte");
  EXPECT_EQ(encode({}), "image: expected a tensor, got nothing");
  EXPECT_EQ(error_of<UsageError>([&] {
              vae.decode(at::zeros({1, 4, 4, 4}));
            }),
            "latents: expected [B, 16, H, W] with H and W at least 1, got [1, 4, 4, 4]");
  const AutoencoderKl::Moments moments{at::zeros({1, 16, 2, 2}), at::zeros({1, 16, 2, 2})};
  EXPECT_EQ(error_of<UsageError>([&] {
              sample(moments, at::zeros({1, 16, 2, 3}));
            }),
            "noise: expected [1, 16, 2, 2], got [1, 16, 2, 3]");
}

std::string config_error(const std::string& json) {
  return error_of<CheckpointError>(
      [&] { VaeConfig::from(JsonFile::parse(json, "vae/config.json")); });
}

TEST(VaeConfig, WrongValuesAreNamed) {
  EXPECT_TRUE(has(config_error(R"({})"), "block_out_channels"));
  EXPECT_EQ(config_error(R"({"block_out_channels": [8, 10], "norm_num_groups": 4})"),
            "vae/config.json: 'block_out_channels' is [8, 10], expected multiples of "
            "'norm_num_groups', which is 4");
  EXPECT_EQ(config_error(R"({"block_out_channels": [8], "norm_num_groups": 0})"),
            "vae/config.json: 'norm_num_groups' is 0, expected 1 ... 16777216");
  EXPECT_EQ(config_error(R"({"block_out_channels": []})"),
            "vae/config.json: 'block_out_channels' is a list of 0, expected 1 ... 16 entries");
  EXPECT_TRUE(has(config_error(R"({"block_out_channels": [-32]})"), "[-32]"));
  EXPECT_EQ(config_error(
                R"({"block_out_channels": [32, 32], "down_block_types": ["DownEncoderBlock2D"]})"),
            "vae/config.json: 'down_block_types' is a list of 1, expected one for each of the 2 "
            "entries of "
            "'block_out_channels'");
  EXPECT_TRUE(has(
      config_error(R"({"block_out_channels": [32], "up_block_types": ["AttnUpDecoderBlock2D"]})"),
      "'up_block_types' is [... 'AttnUpDecoderBlock2D' ...], expected UpDecoderBlock2D only"));
  EXPECT_TRUE(
      has(config_error(R"({"block_out_channels": [32], "act_fn": "relu"})"), "'act_fn' is 'relu'"));
  EXPECT_TRUE(has(config_error(R"({"block_out_channels": [32], "scaling_factor": 0})"),
                  "'scaling_factor' is 0"));
  EXPECT_TRUE(has(
      config_error(R"({"block_out_channels": [32], "_class_name": "AutoencoderKLWan"})"),
      "'_class_name' is AutoencoderKLWan, expected AutoencoderKL: this is another kind of model"));
}

TEST(VaeConfig, DefaultsAreThoseOfDiffusers) {
  const auto c = VaeConfig::from(
      JsonFile::parse(R"({"block_out_channels": [32, 64], "shift_factor": null})", "x"));
  EXPECT_EQ(c.downscale(), 2);
  EXPECT_EQ(c.latent_channels, 4);
  EXPECT_EQ(c.shift_factor, 0.0);
  EXPECT_TRUE(c.use_quant_conv && c.use_post_quant_conv && c.mid_block_add_attention);
}

TEST(Vae, CheckpointsThatDoNotFitAreNamed) {
  const Checkpoint whole = Checkpoint::open(golden::path("tiny-fill/vae"));
  const JsonFile config(golden::path("tiny-fill/vae/config.json"));
  const auto load_error = [&](const Checkpoint& checkpoint, const JsonFile& json) {
    return error_of<CheckpointError>([&] { AutoencoderKl::load(checkpoint, json, {}); });
  };
  const auto without = whole.renamed([](const std::string& name) {
    return name == "decoder.mid_block.attentions.0.to_q.weight" ? "" : name;
  });
  EXPECT_TRUE(has(load_error(without, config), "decoder.mid_block.attentions.0.to_q.weight"));
  const auto more = whole.renamed([](const std::string& name) {
    return name == "encoder.conv_in.bias" ? "encoder.conv_in.bios" : name;
  });
  EXPECT_TRUE(has(load_error(more, config), "encoder.conv_in.bias"));
  const auto other = JsonFile(golden::path("more/vae_quant/config.json"));
  EXPECT_TRUE(has(load_error(whole, other), "'encoder."));
  const Checkpoint quant = Checkpoint::open(golden::path("more/vae_quant"));
  const auto added = quant.renamed([](const std::string& name) {
    return name == "decoder.conv_out.bias" ? "decoder.conv_out.bias" : name;
  });
  EXPECT_NO_THROW(AutoencoderKl::load(added, other, {}));
}

TEST(Vae, LoadsTheNanoModel) {
  const Path folder = Path(ICEDIT_SOURCE) / "models/nano/model/vae";
  const c10::InferenceMode no_grad;
  const auto vae =
      AutoencoderKl::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
  const Tensor picture = vae.decode(at::zeros({1, 16, 2, 3}));
  EXPECT_EQ(picture.sizes(), (Shape{1, 3, 16, 24}));
  EXPECT_TRUE(picture.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace icedit
