// Tensor names: every head and wrapper in use, written names read back, and what is none of ours.
#include "adapters/adapter_keys.h"
#include "tiny_model.h"

namespace icedit {
namespace {

// A file with these heads before a module of diffusers' and one of BFL's, rank 2, alpha 1.
NamedTensors under(const std::string& head, bool underscored) {
  const auto name = [&](std::string module) {
    if (underscored) std::replace(module.begin(), module.end(), '.', '_');
    return head + module;
  };
  const std::string to_q = name("transformer_blocks.0.attn.to_q"),
                    qkv = name("double_blocks.1.txt_attn.qkv");
  return {{to_q + ".lora_down.weight", at::ones({2, 32})},
          {to_q + ".lora_up.weight", at::ones({32, 2})},
          {to_q + ".alpha", at::ones({})},
          {qkv + ".lora_down.weight", at::ones({2, 32})},
          {qkv + ".lora_up.weight", at::ones({96, 2})},
          {qkv + ".alpha", at::ones({})}};
}

TEST(AdapterNames, EveryHeadAndWrapper) {
  FluxTransformer model = tiny_model();
  const std::vector<std::pair<std::string, bool>> heads = {
      {"", false},
      {"transformer.", false},
      {"unet.", false},
      {"module.", false},
      {"_orig_mod.", false},
      {"module._orig_mod.transformer.", false},
      {"transformer._orig_mod.", false},
      {"_fsdp_wrapped_module.", false},
      {"base_model.model.", false},
      {"base_model.model.diffusion_model.", false},
      {"base_model.model.transformer.", false},
      {"module.base_model.model._orig_mod.", false},
      {"diffusion_model.", false},
      {"model.diffusion_model.", false},
      {"module.model.diffusion_model.", false},
      {"lora_unet_", true},
      {"lora_transformer_", true},
      {"lycoris_", true},
      {"lycoris_unet_", true},
      {"lycoris_transformer_", true},
      {"lycoris_diffusion_model_", true},
      {"module.lora_unet_", true},
      {"lora_unet__orig_mod_", true}};
  for (const auto& [head, underscored] : heads) {
    const TemporaryFolder folder;
    const AdapterFile file = AdapterFile::open(write_adapter(folder, under(head, underscored)));
    EXPECT_TRUE(file.unmatched.empty()) << head;
    const LoadedAdapter adapter = attach_adapter(model.linears(), file);
    std::set<std::string> modules;
    for (const AdapterModule& module : adapter.modules()) {
      modules.insert(module.module);
      EXPECT_EQ(module.alpha, 1) << head;
    }
    EXPECT_EQ(modules,
              (std::set<std::string>{
                  "transformer_blocks.0.attn.to_q", "transformer_blocks.1.attn.add_q_proj",
                  "transformer_blocks.1.attn.add_k_proj", "transformer_blocks.1.attn.add_v_proj"}))
        << head;
  }
}

TEST(AdapterNames, WrappersStandBeforeEveryLayout) {
  for (const char* name :
       {"transformer.x.lora_A.expert_3.weight", "transformer.x.lora_route.weight",
        "double_blocks.0.processor.qkv_lora1.down.weight",
        "base_model.model.x.lora_B.default.weight", "transformer.x.lora.up.weight"}) {
    const auto plain = parse_adapter_key(name), wrapped = parse_adapter_key(str("module.", name));
    ASSERT_TRUE(plain && wrapped) << name;
    EXPECT_EQ(wrapped->module, plain->module);
    EXPECT_EQ(wrapped->layout, plain->layout);
    EXPECT_EQ(wrapped->expert, plain->expert);
  }
  EXPECT_FALSE(text_encoder_reason("module.text_encoder.q.lora_A.weight").empty());
  EXPECT_FALSE(text_encoder_reason("base_model.model.text_encoder.q.lora_A.weight").empty());
  // Nested blocks, as torch.compile leaves them.
  const auto nested =
      parse_adapter_key("transformer.transformer_blocks.0._orig_mod.attn.to_q.lora_A.weight");
  ASSERT_TRUE(nested);
  EXPECT_EQ(nested->module, "transformer_blocks.0.attn.to_q");
}

TEST(AdapterNames, WrittenOnesAreReadBack) {
  const std::string module = "transformer_blocks.0.attn.to_out.0";
  for (const auto layout : {AdapterLayout::kDiffusers, AdapterLayout::kPeft, AdapterLayout::kKohya})
    for (const auto role : {AdapterRole::kDown, AdapterRole::kUp, AdapterRole::kAlpha}) {
      const std::string name = adapter_key(layout, module, role);
      const auto key = parse_adapter_key(name);
      ASSERT_TRUE(key) << name;
      EXPECT_EQ(key->module, module) << name;
      EXPECT_EQ(key->role, role) << name;
      EXPECT_EQ(key->expert, -1) << name;
    }
  const auto expert = parse_adapter_key(
      adapter_key(AdapterLayout::kDiffusers, module, AdapterRole::kUp, /*expert=*/12));
  ASSERT_TRUE(expert);
  EXPECT_EQ(expert->expert, 12);
  EXPECT_EQ(expert->layout, "icedit-moe");
}

TEST(AdapterNames, OtherModelsStayUnknown) {
  for (const char* name :
       {"lora_unet_down_blocks_1_attn.lora_down.weight", "lycoris_down_blocks_1.lora_up.weight",
        "lora_unet_module_model.alpha", "transformer..weight", "module.weight"})
    EXPECT_FALSE(parse_adapter_key(name)) << name;
}

// What is beside the factors of a file, in the words for it.
std::string refusal(const std::string& name, const Tensor& tensor) {
  const TemporaryFolder folder;
  NamedTensors tensors = under("diffusion_model.", false);
  tensors[name] = tensor;
  const AdapterFile file = AdapterFile::open(write_adapter(folder, tensors));
  return error_of<CheckpointError>([&] { attach_adapter(tiny_model().linears(), file); });
}

TEST(AdapterNames, WhatIsNotSupportedIsNamedAsWhatItIs) {
  const std::string bias =
      refusal("diffusion_model.double_blocks.0.img_attn.proj.diff_b", at::ones({32}));
  EXPECT_TRUE(has(bias, "img_attn.proj.diff_b' changes a bias, which is not supported"));
  EXPECT_TRUE(has(bias, "--lora-allow-partial loads the rest"));
  EXPECT_FALSE(has(bias, "another model"));
  EXPECT_TRUE(has(refusal("diffusion_model.img_in.diff", at::ones({32, 384})),
                  "changes a weight as a whole, which is not supported"));
  EXPECT_TRUE(has(refusal("something", at::ones({2})), "has a name that no layout has"));
}

TEST(AdapterNames, WordsOfTextEncodersAreSkippedAndSaid) {
  const TemporaryFolder folder;
  NamedTensors tensors = under("lora_transformer_", true);
  tensors["bundle_emb.word.clip_l_out"] = tensors["bundle_emb.word.t5"] = at::ones({2, 96});
  const AdapterFile file = AdapterFile::open(write_adapter(folder, tensors));
  EXPECT_EQ(file.skipped.size(), 2u);
  ASSERT_EQ(file.notes.size(), 1u);
  EXPECT_TRUE(has(file.notes[0],
                  "2 tensors are skipped ([bundle_emb.word.clip_l_out, bundle_emb.word.t5]): "
                  "words that were trained for the text encoders (bundle_emb) are not supported"));
}

}  // namespace
}  // namespace icedit
