// Every way an adapter file can be wrong is one sentence that names the tensor.
#include "tiny_model.h"

namespace icedit {
namespace {

constexpr const char* kQ = "transformer.transformer_blocks.0.attn.to_q";

NamedTensors good() {
  return {{str(kQ, ".lora_A.weight"), at::ones({2, 32})},
          {str(kQ, ".lora_B.weight"), at::ones({32, 2})}};
}

NamedTensors with(NamedTensors tensors, const std::string& name, const Tensor& tensor) {
  tensors[name] = tensor;
  return tensors;
}

NamedTensors without(NamedTensors tensors, const std::string& name) {
  tensors.erase(name);
  return tensors;
}

NamedTensors mixture() {
  const std::string head = "transformer.transformer_blocks.0.ff.net.2.lora_";
  NamedTensors tensors = {{head + "route.weight", at::ones({2, 128})}};
  for (const std::string e : {"0", "1"}) {
    tensors[head + "A.expert_" + e + ".weight"] = at::ones({4, 128});
    tensors[head + "B.expert_" + e + ".weight"] = at::ones({32, 4});
  }
  return tensors;
}

struct Case {
  std::string name;
  NamedTensors tensors;
  std::vector<std::string> expected;  // in the message
};

std::vector<Case> bad_files() {
  const std::string a = str(kQ, ".lora_A.weight"), b = str(kQ, ".lora_B.weight"),
                    alpha = str(kQ, ".alpha");
  const std::string moe = "transformer.transformer_blocks.0.ff.net.2.lora_";
  const Tensor nan = at::full({2, 32}, NAN), infinite = at::full({32, 2}, INFINITY);
  return {
      {"no lora_B", without(good(), b), {a, "no lora_B", "incomplete"}},
      {"no lora_A", without(good(), a), {b, "no lora_A"}},
      {"NaN", with(good(), a, nan), {a, "NaN or infinite"}},
      {"infinite", with(good(), b, infinite), {b, "NaN or infinite"}},
      {"ranks differ", with(good(), b, at::ones({32, 3})), {b, "[32, 3]", "expected 2 columns"}},
      {"a vector", with(good(), a, at::ones({32})), {a, "[32]", "expected a matrix"}},
      {"a convolution",
       with(good(), a, at::ones({2, 32, 1, 1})),
       {a, "[2, 32, 1, 1]", "expected a matrix"}},
      {"rank 0",
       with(with(good(), a, at::ones({0, 32})), b, at::ones({32, 0})),
       {a, "[0, 32]", "a layer of rank 0 changes nothing"}},
      {"integers", with(good(), a, at::ones({2, 32}, at::kInt)), {a, "I32", "floating point"}},
      {"alpha of 0", with(good(), alpha, at::zeros({})), {alpha, "is 0", "above 0"}},
      {"alpha below 0", with(good(), alpha, at::full({}, -4.0)), {alpha, "is -4"}},
      {"alpha NaN", with(good(), alpha, at::full({}, NAN)), {alpha, "is nan"}},
      {"alpha of two numbers", with(good(), alpha, at::ones({2})), {alpha, "[2]", "one number"}},
      {"the same layer twice",
       with(good(), str(kQ, ".lora.down.weight"), at::ones({2, 32})),
       {"one layer twice"}},
      {"LoKr",
       with(good(), str(kQ, ".lokr_w1"), at::ones({2, 2})),
       {"LoKr is not supported", "lokr_w1"}},
      {"LoHa", with({}, "lora_unet_x.hada_w1_a", at::ones({2, 2})), {"LoHa is not supported"}},
      {"DoRA of kohya",
       with(good(), str(kQ, ".dora_scale"), at::ones({32})),
       {"DoRA is not supported"}},
      {"DoRA of peft",
       with(good(), str(kQ, ".lora_magnitude_vector"), at::ones({32})),
       {"DoRA is not supported"}},
      {"NF4", with(good(), "a.weight.absmax", at::ones({2})), {"NF4", "16-bit"}},
      {"NF4 map", with(good(), "a.weight.quant_map", at::ones({2})), {"NF4"}},
      {"OFT", with(good(), str(kQ, ".oft_blocks"), at::ones({2})), {"OFT is not supported"}},
      {"biases", with(good(), str(kQ, ".lora_B.bias"), at::ones({32})), {"LoRA with biases"}},
      {"control LoRA",
       with(good(), "double_blocks.0.img_attn.norm.query_norm.scale", at::ones({16})),
       {"control LoRA"}},
      {"nothing known",
       {{"weight", at::ones({2, 2})}},
       {"no LoRA for FLUX", "[weight]", "Is it an adapter"}},
      {"no tensor at all", {}, {"no LoRA for FLUX"}},
      {"text encoders only",
       {{"text_encoder.q.lora_A.weight", at::ones({2, 2})},
        {"text_encoder.q.lora_B.weight", at::ones({2, 2})}},
       {"text encoders only"}},
      {"SDXL's kohya",
       {{"lora_unet_down_blocks_1_attn.lora_down.weight", at::ones({2, 2})},
        {"lora_unet_down_blocks_1_attn.lora_up.weight", at::ones({2, 2})}},
       {"no LoRA for FLUX", "lora_unet_down_blocks_1_attn"}},
      {"fused rows that do not divide",
       {{"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", at::ones({2, 32})},
        {"lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", at::ones({95, 2})}},
       {"img_attn_qkv.lora_up", "[95, 2]", "does not divide"}},
      {"fused rows without an MLP",
       {{"lora_unet_single_blocks_0_linear1.lora_down.weight", at::ones({2, 32})},
        {"lora_unet_single_blocks_0_linear1.lora_up.weight", at::ones({96, 2})}},
       {"linear1.lora_up", "[96, 2]", "does not divide"}},
      {"odd halves",
       {{"lora_unet_final_layer_adaLN_modulation_1.lora_down.weight", at::ones({2, 32})},
        {"lora_unet_final_layer_adaLN_modulation_1.lora_up.weight", at::ones({63, 2})}},
       {"63 rows, expected an even number"}},
      {"fused and split",
       {{"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", at::ones({2, 32})},
        {"lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight", at::ones({96, 2})},
        {"lora_unet_transformer_blocks_0_attn_to_k.lora_down.weight", at::ones({2, 32})},
        {"lora_unet_transformer_blocks_0_attn_to_k.lora_up.weight", at::ones({32, 2})}},
       {"transformer_blocks.0.attn.to_k", "already"}},
      {"no router", without(mixture(), moe + "route.weight"), {"without a lora_route"}},
      {"an expert is missing",
       without(without(mixture(), moe + "A.expert_1.weight"), moe + "B.expert_1.weight"),
       {"expert_1"}},
      {"half an expert",
       without(mixture(), moe + "B.expert_1.weight"),
       {"A.expert_1", "no lora_B"}},
      {"an expert too many",
       with(with(mixture(), moe + "A.expert_2.weight", at::ones({4, 128})),
            moe + "B.expert_2.weight", at::ones({32, 4})),
       {"2 experts", "6 other tensors"}},
      {"experts of two ranks",
       with(with(mixture(), moe + "A.expert_1.weight", at::ones({2, 128})),
            moe + "B.expert_1.weight", at::ones({32, 2})),
       {"A.expert_1", "[2, 128]", "expected [4, 128]"}},
      {"router of another width",
       with(mixture(), moe + "route.weight", at::ones({2, 64})),
       {"A.expert_0", "[4, 128]", "64]"}},
      {"mixture and plain",
       with(mixture(), moe + "A.weight", at::ones({4, 128})),
       {"5 other tensors"}},
  };
}

TEST(MalformedAdapter, EveryBadFileIsNamed) {
  for (const Case& c : bad_files()) {
    const TemporaryFolder folder;
    const Path path = write_adapter(folder, c.tensors);
    const std::string error = error_of<CheckpointError>([&] { AdapterFile::open(path); });
    EXPECT_TRUE(has(error, path.string())) << c.name;
    for (const auto& part : c.expected) EXPECT_TRUE(has(error, part)) << c.name;
  }
}

TEST(MalformedAdapter, GoodFilesOfTheSameMakingOpen) {
  const TemporaryFolder folder;
  EXPECT_EQ(AdapterFile::open(write_adapter(folder, good())).modules.size(), 1u);
  EXPECT_EQ(AdapterFile::open(write_adapter(folder, mixture())).modules.size(), 1u);
  const NamedTensors named = {
      {str("base_model.model.", kQ, ".lora_A.default.weight"), at::ones({2, 32})},
      {str("base_model.model.", kQ, ".lora_B.default.weight"), at::ones({32, 2})}};
  const AdapterFile peft = AdapterFile::open(write_adapter(folder, named));
  EXPECT_EQ(peft.layout, "peft");
  EXPECT_EQ(peft.modules.at(0).module, "transformer_blocks.0.attn.to_q");
}

TEST(MalformedAdapter, TwoCopiesInOneFile) {
  // As some files on civitai: the names of diffusers and of kohya, diffusers' win.
  NamedTensors tensors = good();
  tensors["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"] = at::full({2, 32}, 2.0);
  tensors["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"] = at::full({96, 2}, 2.0);
  const TemporaryFolder folder;
  const AdapterFile file = AdapterFile::open(write_adapter(folder, tensors));
  ASSERT_EQ(file.modules.size(), 3u);
  EXPECT_EQ(file.modules[0].a[0].sum().item<double>(), 64);
  std::string notes;
  for (const auto& note : file.notes) notes += note;
  EXPECT_TRUE(has(notes, "1 modules are in the file under two names"));
}

TEST(MalformedAdapter, ZeroDifferencesAreSkippedOthersAreNot) {
  const TemporaryFolder folder;
  NamedTensors tensors = with(good(), "lora_unet_img_in.diff_b", at::zeros({32}));
  EXPECT_EQ(AdapterFile::open(write_adapter(folder, tensors)).skipped.size(), 1u);
  tensors = with(good(), "lora_unet_img_in.diff_b", at::ones({32}));
  EXPECT_EQ(AdapterFile::open(write_adapter(folder, tensors)).unmatched.size(), 1u);
}

TEST(MalformedAdapter, VeryLongNames) {
  const std::string body(200'000, 'a');
  for (const std::string& name :
       {body + ".lora_A.default.weight", "double_blocks.0." + body, body}) {
    const TemporaryFolder folder;
    const Path path = write_adapter(folder, with(good(), name, at::ones({1})));
    EXPECT_EQ(AdapterFile::open(path).unmatched.size(), 1u);
  }
}

std::string unavailable(const Path& path) {
  return error_of<ModelUnavailable>([&] { AdapterFile::open(path); });
}

TEST(MalformedAdapter, Paths) {
  const TemporaryFolder folder;
  EXPECT_TRUE(has(unavailable(folder / "none.safetensors"), "no such adapter file or folder"));
  EXPECT_TRUE(has(unavailable(folder.path()), "holds no adapter"));
  std::filesystem::create_directory(folder / "latest");
  EXPECT_TRUE(has(unavailable(folder.path()), (folder / "latest").string() + " for the last"));
  std::filesystem::remove(folder / "latest");
  folder.write("a.bin", "x");
  EXPECT_TRUE(has(unavailable(folder.path()), "is a PyTorch pickle"));
  EXPECT_TRUE(has(unavailable(folder / "a.bin"), "Convert it once"));
  write_adapter(folder, good(), {}, "one.safetensors");
  EXPECT_EQ(AdapterFile::open(folder.path()).modules.size(), 1u);
  write_adapter(folder, good(), {}, "two.safetensors");
  EXPECT_TRUE(has(unavailable(folder.path()), "name one of [one.safetensors, two.safetensors]"));
  write_adapter(folder, good(), {}, "pytorch_lora_weights.safetensors");
  EXPECT_EQ(AdapterFile::open(folder.path()).path.filename(), "pytorch_lora_weights.safetensors");
  folder.write("broken.safetensors", "not a safetensors file");
  EXPECT_NE(error_of<CheckpointError>([&] { AdapterFile::open(folder / "broken.safetensors"); }),
            "");
}

std::string config_error(const std::string& json) {
  const TemporaryFolder folder;
  write_adapter(folder, good(), {}, "adapter_model.safetensors");
  folder.write("adapter_config.json", json);
  try {
    AdapterFile::open(folder.path());
  } catch (const CheckpointError& e) {
    return e.what();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(MalformedAdapter, Configs) {
  EXPECT_EQ(config_error(R"({"r": 2, "lora_alpha": 4})"), "");
  EXPECT_TRUE(has(config_error("{"), "is not JSON"));
  EXPECT_TRUE(has(config_error("[]"), "an array"));
  EXPECT_TRUE(has(config_error(R"({"r": "2"})"), "'r' is \"2\""));
  EXPECT_TRUE(has(config_error(R"({"r": 4, "lora_alpha": 4})"), "has rank 2, but"));
  EXPECT_TRUE(has(config_error(R"({"r": 2, "lora_alpha": 0})"), "'lora_alpha' is 0"));
  EXPECT_TRUE(has(config_error(R"({"r": 2, "lora_alpha": -1})"), "above 0"));
  EXPECT_TRUE(has(config_error(R"({"r": 2, "lora_alpha": 1, "alpha_pattern": {"(": 1}})"),
                  "no regular expression"));
  EXPECT_TRUE(has(config_error(R"({"r": 2, "lora_alpha": 1, "alpha_pattern": {"a": "x"}})"),
                  "'a' is \"x\""));
  EXPECT_TRUE(
      has(config_error(R"({"r": 2, "lora_alpha": 1, "rank_pattern": []})"), "rank_pattern"));
  EXPECT_TRUE(has(config_error(R"({"peft_type": "LOKR"})"), "LOKR"));
  EXPECT_TRUE(has(config_error(R"({"use_dora": true})"), "DoRA"));
  EXPECT_TRUE(has(config_error(R"({"lora_bias": true})"), "biases"));
  EXPECT_TRUE(has(config_error(R"({"init_lora_weights": "pissa_niter_16"})"), "pissa"));
  EXPECT_TRUE(has(config_error(R"({"init_lora_weights": 3})"), "true or false"));
  EXPECT_EQ(config_error(R"({"r": 2, "lora_alpha": 4, "init_lora_weights": "gaussian"})"), "");
}

TEST(MalformedAdapter, HeaderMetadata) {
  const TemporaryFolder folder;
  const auto open = [&](const std::string& json) {
    return AdapterFile::open(write_adapter(folder, good(), {{"lora_adapter_metadata", json}}));
  };
  EXPECT_EQ(open(R"({"transformer.r": 2, "transformer.lora_alpha": 6})").modules[0].alpha, 6);
  EXPECT_EQ(open(R"({"text_encoder.r": 2, "text_encoder.lora_alpha": 6})").modules[0].alpha, 2);
  const AdapterFile unprefixed = open(R"({"r": 2, "lora_alpha": 6, "use_rslora": true})");
  EXPECT_EQ(unprefixed.modules[0].alpha, 6);
  EXPECT_TRUE(unprefixed.modules[0].rslora);
  EXPECT_TRUE(unprefixed.notes.empty());
  EXPECT_NE(error_of<CheckpointError>([&] { open("{"); }), "");
  EXPECT_TRUE(has(error_of<CheckpointError>([&] { open(R"({"transformer.r": 8})"); }),
                  "lora_adapter_metadata says 8"));
  EXPECT_TRUE(
      has(error_of<CheckpointError>([&] { open(R"({"r": 8})"); }), "lora_adapter_metadata says 8"));
}

TEST(MalformedAdapter, KohyasHeader) {
  const TemporaryFolder folder;
  const auto open = [&](const NamedTensors& tensors, const std::string& alpha) {
    return AdapterFile::open(write_adapter(folder, tensors, {{"ss_network_alpha", alpha}}));
  };
  EXPECT_EQ(open(good(), "16.0").modules[0].alpha, 16);
  EXPECT_TRUE(open(good(), "16.0").notes.empty());
  // A tensor says it for its layer alone.
  EXPECT_EQ(open(with(good(), str(kQ, ".alpha"), at::full({}, 3.0)), "16").modules[0].alpha, 3);
  for (const char* none : {"None", "Dynamic", "", "0", "nan", "4x"}) {
    const AdapterFile file = open(good(), none);
    EXPECT_EQ(file.modules[0].alpha, 2) << none;
    ASSERT_EQ(file.notes.size(), 1u) << none;
    EXPECT_TRUE(has(file.notes[0], "no alpha is stated; alpha = rank"));
  }
}

}  // namespace
}  // namespace icedit
