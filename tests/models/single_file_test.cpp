// Single-file checkpoints in BFL's, ComfyUI's and CompVis' names: the same tensors as the diffusers
// folder's.
#include "models/single_file.h"

#include <algorithm>

#include "base/error.h"
#include "flux_inputs.h"
#include "flux_modules.h"
#include "io/temporary_folder.h"
#include "models/clip/text_encoder.h"
#include "models/flux/fill_configs.h"
#include "models/flux/names.h"
#include "models/flux/transformer.h"
#include "models/t5/encoder.h"
#include "models/vae/autoencoder.h"

namespace icedit {
namespace {

using Named = std::map<std::string, Tensor>;

::testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

Named tensors_of(const Checkpoint& checkpoint) {
  Named tensors;
  for (const auto& [name, entry] : checkpoint.entries()) tensors[name] = mapped_tensor(entry);
  return tensors;
}
Named tiny(const std::string& component) {
  return tensors_of(Checkpoint::open(golden::path("tiny-fill/" + component)));
}

Tensor swapped(const Tensor& t) {
  const auto halves = t.chunk(2, 0);
  return at::cat({halves[1], halves[0]}, 0);
}

// The tiny transformer in BFL's names.
Named bfl(const std::string& prefix = "") {
  const Named ours = tiny("transformer");
  Named out;
  for (const auto& [module, parts] : flux_modules()) {
    for (const std::string part : {"weight", "bias"}) {
      std::vector<Tensor> rows;
      for (const auto& name : parts) {
        if (ours.count(name + "." + part)) rows.push_back(ours.at(name + "." + part));
      }
      if (rows.empty()) continue;
      Tensor stacked = at::cat(rows, 0);
      if (halves_are_swapped(module)) stacked = swapped(stacked);
      out[prefix + module + (module.ends_with("_norm") ? ".scale" : "." + part)] = stacked;
    }
  }
  return out;
}

Checkpoint written(const TemporaryFolder& folder, const Named& tensors) {
  save_tensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
  return Checkpoint::open(folder / "model.safetensors");
}

void expect_same(const Checkpoint& got, const Named& want) {
  const Named tensors = tensors_of(got);
  EXPECT_EQ(tensors.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(tensors.count(name)) << name;
    EXPECT_TRUE(golden::equal(tensors.at(name), tensor)) << name;
  }
}

TEST(FluxSingleFile, BflNamesUnderAnyPrefix) {
  for (const std::string prefix : {"", "model.diffusion_model.", "diffusion_model."}) {
    const TemporaryFolder folder;
    Named file = bfl(prefix);
    file["vae.decoder.conv_in.weight"] = at::ones({1});  // of an all-in-one file
    if (prefix.empty()) file.erase("vae.decoder.conv_in.weight");
    expect_same(flux_single_file(written(folder, file)), tiny("transformer"));
  }
}

TEST(FluxSingleFile, DiffusersNamesPass) {
  const Checkpoint checkpoint = Checkpoint::open(golden::path("tiny-fill-sharded/transformer"));
  expect_same(flux_single_file(checkpoint), tensors_of(checkpoint));
  const TemporaryFolder folder;
  Named prefixed;
  for (const auto& [name, tensor] : tiny("transformer")) prefixed["transformer." + name] = tensor;
  expect_same(flux_single_file(written(folder, prefixed)), tiny("transformer"));
}

TEST(FluxSingleFile, TheModelComputesTheSame) {
  const TemporaryFolder folder;
  const auto t = golden::load("transformer/forward.safetensors");
  const JsonFile config(golden::path("tiny-fill/transformer/config.json"));
  const auto model = FluxTransformer::load(flux_single_file(written(folder, bfl())), config, {});
  EXPECT_TRUE(golden::close(golden::forward(model, golden::flux_inputs(t)),
                            golden::get(t, "out.output"), golden::tolerance::kTransformer));
}

TEST(FluxSingleFile, Fp8WithScales) {
  // ComfyUI's "scaled fp8": a scale for each stacked matrix, a marker for the file.
  for (const auto type : {at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    for (const std::string scale_name : {"scale_weight", "weight_scale"}) {
      const TemporaryFolder folder;
      Named file, want;
      for (auto& [name, tensor] : bfl()) {
        const bool matrix = name.ends_with(".weight") && tensor.dim() == 2;
        file[name] = matrix ? (tensor / 0.5).to(type) : tensor;
        if (!matrix) continue;
        const std::string module = name.substr(0, name.size() - 7);
        file[module + "." + scale_name] = at::scalar_tensor(0.5);
        file[module + ".input_scale"] = at::scalar_tensor(1.0);
      }
      file["scaled_fp8"] = at::empty({0}).to(type);
      const Checkpoint checkpoint = flux_single_file(written(folder, file));
      EXPECT_FALSE(checkpoint.has("scaled_fp8"));
      const JsonFile config(golden::path("tiny-fill/transformer/config.json"));
      for (const bool keep_stored : {false, true}) {
        LoadOptions options;
        options.keep_stored = keep_stored;
        const auto model = FluxTransformer::load(checkpoint, config, options);
        const Named plain = tiny("transformer");
        for (const auto& [path, linear] : model.linears()) {
          const Tensor rounded = (plain.at(path + ".weight") / 0.5).to(type).to(at::kFloat) * 0.5;
          EXPECT_TRUE(golden::equal(linear.weight(), rounded)) << path;
        }
      }
    }
  }
}

TEST(FluxSingleFile, ScaleForEveryRowIsSplitToo) {
  const TemporaryFolder folder;
  Named file = bfl();
  file["double_blocks.0.img_attn.qkv.weight_scale"] =
      at::arange(96).to(at::kFloat).reshape({96, 1});
  const Named got = tensors_of(flux_single_file(written(folder, file)));
  EXPECT_EQ(got.at("transformer_blocks.0.attn.to_k.weight_scale")[0][0].item<float>(), 32);
  EXPECT_EQ(got.at("transformer_blocks.0.attn.to_v.weight_scale").size(0), 32);
}

TEST(FluxSingleFile, WrongModelsAreNamed) {
  const auto refused = [](const Named& file) {
    const TemporaryFolder folder;
    return error_of<CheckpointError>([&] { flux_single_file(written(folder, file)); });
  };
  Named dev = bfl();
  dev["img_in.weight"] = at::ones({32, 64});
  EXPECT_TRUE(
      has(refused(dev),
          "'img_in.weight' is [32, 64], expected [32, 384]. Is this FLUX.1-Fill? FLUX.1-dev has 64 "
          "input channels, Fill has 384"));
  dev["img_in.weight"] = at::ones({32, 128});
  EXPECT_TRUE(has(refused(dev), "Is this FLUX.1-Fill?"));
  EXPECT_TRUE(has(refused(tiny("vae")), "no FLUX transformer in it"));
  EXPECT_TRUE(has(refused(tiny("vae")), "It looks like a VAE: give it with --vae"));
  EXPECT_TRUE(has(refused(tiny("text_encoder_2")), "a T5 encoder: give it with --t5"));
  EXPECT_TRUE(has(refused(tiny("text_encoder")), "a CLIP text encoder"));
  EXPECT_TRUE(has(refused({{"transformer.x.lora_A.weight", at::ones({1})}}), "an adapter (LoRA)"));
  EXPECT_TRUE(has(refused({{"model.diffusion_model.input_blocks.0.0.weight", at::ones({1})}}),
                  "Stable Diffusion"));
  EXPECT_TRUE(has(refused({{"x", at::ones({1})}}), "Its first tensor is 'x'"));
  EXPECT_TRUE(has(refused({}), "It is empty"));
}

TEST(FluxSingleFile, RowsThatDoNotSplit) {
  const auto refused = [](const std::string& name, const Tensor& tensor) {
    const TemporaryFolder folder;
    Named file = bfl();
    file[name] = tensor;
    return error_of<CheckpointError>([&] { flux_single_file(written(folder, file)); });
  };
  EXPECT_TRUE(has(refused("double_blocks.0.img_attn.qkv.weight", at::ones({95, 32})),
                  "[95, 32], which does not divide"));
  EXPECT_TRUE(
      has(refused("double_blocks.0.img_attn.qkv.weight", at::ones({96})), "does not divide"));
  EXPECT_TRUE(
      has(refused("double_blocks.0.img_attn.qkv.bias", at::scalar_tensor(1.0)), "does not divide"));
  EXPECT_TRUE(
      has(refused("single_blocks.0.linear1.weight", at::ones({96, 32})), "does not divide"));
  EXPECT_TRUE(has(refused("single_blocks.0.linear1.bias", at::ones({32})), "does not divide"));
  EXPECT_TRUE(
      has(refused("final_layer.adaLN_modulation.1.bias", at::ones({63})), "does not divide"));
  EXPECT_TRUE(has(refused("transformer_blocks.0.attn.to_q.weight", at::ones({32, 32})),
                  "the file holds the model twice"));
}

TEST(FluxSingleFile, UnknownTensorsStayForTheModelToName) {
  const TemporaryFolder folder;
  Named file = bfl();
  file["double_blocks.0.extra.weight"] = at::ones({1});
  const Checkpoint checkpoint = flux_single_file(written(folder, file));
  const JsonFile config(golden::path("tiny-fill/transformer/config.json"));
  const std::string error =
      error_of<CheckpointError>([&] { FluxTransformer::load(checkpoint, config, {}); });
  EXPECT_TRUE(has(error, "'double_blocks.0.extra.weight'"));
}

TEST(T5SingleFile, PrefixesAndNamesOfTheEmbedding) {
  const Named ours = tiny("text_encoder_2");
  for (const std::string prefix : {"", "text_encoders.t5xxl.transformer.", "text_encoder_2."}) {
    for (const bool both : {false, true}) {
      const TemporaryFolder folder;
      Named file;
      for (const auto& [name, tensor] : ours) file[prefix + name] = tensor;
      file[prefix + "encoder.embed_tokens.weight"] = ours.at("shared.weight");
      if (!both) file.erase(prefix + "shared.weight");
      file[prefix + "decoder.final_layer_norm.weight"] = at::ones({32});
      file[prefix + "lm_head.weight"] = at::ones({2, 32});
      file[prefix + "scaled_fp8"] = at::empty({0});
      file["text_encoders.clip_l.transformer.text_model.x"] = at::ones({1});
      if (prefix.empty()) file.erase("text_encoders.clip_l.transformer.text_model.x");
      expect_same(t5_single_file(written(folder, file)), ours);
    }
  }
}

TEST(ClipSingleFile, PrefixesAndWhatFluxDoesNotUse) {
  const Named ours = tiny("text_encoder");
  for (const std::string prefix : {"", "text_encoders.clip_l.transformer.", "text_encoder."}) {
    const TemporaryFolder folder;
    Named file;
    for (const auto& [name, tensor] : ours) file[prefix + name] = tensor;
    file[prefix + "text_projection.weight"] = at::ones({32, 32});
    file[prefix + "logit_scale"] = at::ones({});
    file[prefix + "text_model.embeddings.position_ids"] = at::ones({1, 77}, at::kLong);
    file[prefix + "vision_model.embeddings.class_embedding"] = at::ones({32});
    expect_same(clip_single_file(written(folder, file)), ours);
  }
}

// The tiny VAE in CompVis' names, from diffusers' by the rules read backwards.
Named compvis(const std::string& prefix = "") {
  Named out;
  for (const auto& [name, tensor] : tiny("vae")) {
    std::string n = name;
    Tensor t = tensor;
    const auto replace = [&n](const std::string& from, const std::string& to) {
      const size_t at = n.find(from);
      if (at != std::string::npos) n.replace(at, from.size(), to);
    };
    for (int i = 0; i < 4; ++i) {
      replace(str("up_blocks.", i, "."), str("UP.", 3 - i, "."));
      replace(str("down_blocks.", i, "."), str("down.", i, "."));
    }
    replace("UP.", "up.");
    replace("mid_block.resnets.0", "mid.block_1");
    replace("mid_block.resnets.1", "mid.block_2");
    replace("mid_block.attentions.0", "mid.attn_1");
    replace(".resnets.", ".block.");
    replace("conv_shortcut", "nin_shortcut");
    replace("downsamplers.0", "downsample");
    replace("upsamplers.0", "upsample");
    replace("conv_norm_out", "norm_out");
    if (n.find("attn_1") != std::string::npos) {
      replace("group_norm", "norm");
      replace("to_out.0", "proj_out");
      for (const std::string part : {"q", "k", "v"}) replace("to_" + part, part);
      if (t.dim() == 2) t = t.unsqueeze(-1).unsqueeze(-1);
    }
    out[prefix + n] = t;
  }
  return out;
}

TEST(VaeSingleFile, CompVisNames) {
  for (const std::string prefix : {"", "vae.", "first_stage_model."}) {
    const TemporaryFolder folder;
    const Named file = compvis(prefix);
    ASSERT_TRUE(file.count(prefix + "encoder.mid.attn_1.q.weight"));
    ASSERT_TRUE(file.count(prefix + "decoder.up.3.block.0.norm1.weight"));
    expect_same(vae_single_file(written(folder, file)), tiny("vae"));
  }
  const TemporaryFolder folder;
  expect_same(vae_single_file(written(folder, tiny("vae"))), tiny("vae"));
}

TEST(VaeSingleFile, VeryLongNamesStay) {
  const TemporaryFolder folder;
  Named file = compvis();
  const std::string name = "decoder.up.0.block." + std::string(200'000, '1');
  file[name] = at::ones({1});
  EXPECT_TRUE(vae_single_file(written(folder, file)).has(name));
}

TEST(SingleFile, OtherComponentsAreNamed) {
  const TemporaryFolder folder;
  const Checkpoint transformer = written(folder, bfl());
  EXPECT_TRUE(
      has(error_of<CheckpointError>([&] { vae_single_file(transformer); }), "no VAE in it"));
  EXPECT_TRUE(
      has(error_of<CheckpointError>([&] { t5_single_file(transformer); }), "no T5 encoder in it"));
  EXPECT_TRUE(has(error_of<CheckpointError>([&] { clip_single_file(transformer); }),
                  "It looks like a FLUX transformer in BFL's names: give it with --transformer"));
}

TEST(FillConfigs, AreReadByTheModels) {
  EXPECT_EQ(FluxConfig::from(fill_config("transformer")).hidden(), 3072);
  EXPECT_EQ(T5Config::from(fill_config("text_encoder_2")).num_layers, 24);
  EXPECT_EQ(ClipConfig::from(fill_config("text_encoder")).hidden_size, 768);
  EXPECT_EQ(VaeConfig::from(fill_config("vae")).latent_channels, 16);
  EXPECT_EQ(fill_config("scheduler").number("max_shift"), 1.15);
}

}  // namespace
}  // namespace icedit
