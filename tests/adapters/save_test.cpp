// What is written reads back the same, in every layout.
#include "adapters/save.h"

#include <ATen/core/grad_mode.h>

#include "tiny_model.h"

namespace icedit {
namespace {

// (module, delta at scale 1) of every layer.
std::map<std::string, Tensor> deltas(const AdapterFile& file) {
  std::map<std::string, Tensor> found;
  for (const AdapterModule& module : file.modules)
    found[module.module] = module.delta(module.scaling());
  return found;
}

// Parts of a fused module without an adapter come back as zeros.
void expect_same_deltas(const AdapterFile& got, const AdapterFile& want, const std::string& what) {
  const auto g = deltas(got), w = deltas(want);
  for (const auto& [module, delta] : w) {
    ASSERT_TRUE(g.count(module)) << what << " " << module;
    EXPECT_TRUE(golden::close(g.at(module), delta, 1e-6)) << what << " " << module;
  }
  for (const auto& [module, delta] : g) {
    if (w.count(module)) continue;
    EXPECT_FALSE(delta.any().item<bool>()) << what << " " << module;
  }
}

TEST(SaveAdapter, EveryLayoutKeepsEveryDelta) {
  for (const std::string source :
       {"lora/alpha8_metadata", "lora/second", "lora/kohya/lora.safetensors",
        "more_lora/peft_patterns", "more_lora/peft_rslora", "more_lora/alpha_tensors.safetensors",
        "more_lora/kohya_all.safetensors", "more_lora/onetrainer.safetensors"}) {
    const AdapterFile file = open_golden(source);
    const TemporaryFolder folder;
    const Path diffusers = save_adapter(folder / "d", file, AdapterLayout::kDiffusers);
    EXPECT_EQ(diffusers.filename(), "pytorch_lora_weights.safetensors");
    expect_same_deltas(AdapterFile::open(folder / "d"), file, source + " diffusers");
    EXPECT_TRUE(AdapterFile::open(diffusers).notes.empty()) << "alpha is always stated";
    save_adapter(folder / "p", file, AdapterLayout::kPeft);
    const AdapterFile peft = AdapterFile::open(folder / "p");
    EXPECT_EQ(peft.layout, "peft");
    expect_same_deltas(peft, file, source + " peft");
    const AdapterFile kohya =
        AdapterFile::open(save_adapter(folder / "k.safetensors", file, AdapterLayout::kKohya));
    EXPECT_EQ(kohya.layout, "kohya");
    expect_same_deltas(kohya, file, source + " kohya");
  }
}

TEST(SaveAdapter, KohyaThereAndBackIsTheSameFile) {
  const TemporaryFolder folder;
  const Path path = save_adapter(folder / "k.safetensors",
                                 open_golden("lora/kohya/lora.safetensors"), AdapterLayout::kKohya);
  std::map<std::string, Tensor> got;
  for (auto& [name, tensor] : load_tensors(path)) got[name] = tensor;
  const auto want = golden::load("lora/kohya/lora.safetensors");
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) EXPECT_TRUE(golden::equal(got[name], tensor)) << name;
}

AdapterModule mixture_of(const AdapterFile& file) {
  for (const AdapterModule& module : file.modules)
    if (module.has_router()) return module;
  throw DataError("no mixture");
}

TEST(SaveAdapter, MixtureKeepsAlphaAndTopK) {
  AdapterFile file = open_golden("moe");
  for (AdapterModule& module : file.modules) {
    module.alpha = 8;
    module.top_k = 2;
  }
  const TemporaryFolder folder;
  save_adapter(folder.path(), file, AdapterLayout::kDiffusers);
  const AdapterFile back = AdapterFile::open(folder.path());
  ASSERT_EQ(back.modules.size(), file.modules.size());
  for (size_t i = 0; i < back.modules.size(); ++i) {
    const AdapterModule &got = back.modules[i], &want = file.modules[i];
    EXPECT_EQ(got.alpha, 8);
    EXPECT_EQ(got.top_k, want.has_router() ? 2 : 1);
    EXPECT_TRUE(golden::equal(got.b.back(), want.b.back()));
  }
  AdapterFileOptions one;
  one.top_k = 1;
  EXPECT_EQ(mixture_of(AdapterFile::open(folder.path(), one)).top_k, 1);
  for (const auto layout : {AdapterLayout::kPeft, AdapterLayout::kKohya}) {
    const std::string error =
        error_of<UsageError>([&] { save_adapter(folder / "x", file, layout); });
    EXPECT_TRUE(has(error, "save it as diffusers"));
  }
}

TEST(SaveAdapter, TrainedTensorsAreWhatIsWritten) {
  FluxTransformer model = tiny_model();
  AttachOptions options;
  options.trainable = true;
  const LoadedAdapter adapter =
      attach_adapter(model.linears(), open_golden("lora/alpha8_metadata"), options);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : adapter.tensors()) tensor.mul_(2);
  }
  const TemporaryFolder folder;
  save_adapter(folder.path(), content_of(adapter), AdapterLayout::kDiffusers);
  const auto was = deltas(open_golden("lora/alpha8_metadata"));
  for (const auto& [module, delta] : deltas(AdapterFile::open(folder.path()))) {
    EXPECT_TRUE(golden::close(delta, was.at(module) * 4, 1e-6)) << module;
  }
}

TEST(SaveAdapter, MetadataOfOthersIsKept) {
  AdapterFile file = open_golden("lora/second");
  file.metadata["icedit.base"] = "tiny";
  const TemporaryFolder folder;
  save_adapter(folder.path(), file, AdapterLayout::kDiffusers);
  EXPECT_EQ(AdapterFile::open(folder.path()).metadata.at("icedit.base"), "tiny");
}

TEST(SaveAdapter, Refuses) {
  const TemporaryFolder folder;
  std::string error = error_of<UsageError>(
      [&] { save_adapter(folder.path(), AdapterFile{}, AdapterLayout::kPeft); });
  EXPECT_TRUE(has(error, "no layers"));
  error = error_of<UsageError>([&] {
    save_adapter(folder / "x.safetensors", open_golden("lora/second"), AdapterLayout::kPeft);
  });
  EXPECT_TRUE(has(error, "is a folder of two files"));
  error = error_of<UsageError>([] { adapter_layout("onnx"); });
  EXPECT_TRUE(has(error, "expected diffusers, peft or kohya"));
  AdapterFile other = open_golden("lora/second");
  other.modules[0].module = "down_blocks.0.attn";
  error = error_of<UsageError>(
      [&] { save_adapter(folder / "k.safetensors", other, AdapterLayout::kKohya); });
  EXPECT_TRUE(has(error, "no name for the module down_blocks.0.attn"));
}

}  // namespace
}  // namespace icedit
