// Adapters are opened and compared with the model before anything is loaded; components may be
// held open.
#include "edit/residency.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "adapters/save.h"
#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

class ResidencyAdapters : public ::testing::Test {
 protected:
  Residency with(const Path& lora, bool partial = false) const {
    ModelRequest request;
    request.model = golden::path("tiny-fill").string();
    ResidencyOptions options;
    options.adapters = {{lora.string(), 1.0}};
    options.allow_partial_adapters = partial;
    return Residency(ModelFiles::find(request), options);
  }
  // Layers that are [out, 32].
  Path adapter(const std::vector<std::pair<std::string, double>>& modules, int64_t out = 32) const {
    AdapterFile file;
    for (const auto& [module, b] : modules) {
      file.modules.push_back(
          {.module = module, .a = {at::ones({2, 32})}, .b = {at::full({out, 2}, b)}, .alpha = 2});
    }
    return save_adapter(folder_ / "lora.safetensors", file, AdapterLayout::kDiffusers);
  }
  std::string refused(const Path& lora) const {
    try {
      with(lora);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

TEST_F(ResidencyAdapters, WhatAnEditWouldRefuseIsRefusedAtTheStart) {
  const std::string to_q = "transformer_blocks.0.attn.to_q";
  EXPECT_EQ(refused(adapter({{to_q, 1}})), "");
  EXPECT_NE(refused(adapter({{to_q, 0}})).find("every lora_B is all zero"), std::string::npos);
  EXPECT_NE(refused(adapter({{to_q, 1}}, 48)).find("none of its 1 layers fits"), std::string::npos);
  const Path other = adapter({{to_q, 1}, {"transformer_blocks.18.attn.to_q", 1}});
  EXPECT_NE(refused(other).find("which the model does not have"), std::string::npos);
  EXPECT_EQ(with(other, /*partial=*/true).adapters().at(0).fitted.modules.size(), 1u);
}

TEST_F(ResidencyAdapters, AScaleIsSwitchedLoadedOrNot) {
  const std::string to_q = "transformer_blocks.0.attn.to_q";
  Residency residency = with(adapter({{to_q, 0.5}}));
  const Tensor x = at::ones({1, 32});
  const auto out = [&] {
    for (auto& [path, linear] : residency.transformer().linears())
      if (path == to_q) return linear(x);
    return Tensor();
  };
  const Tensor one = out();  // 0.5 * 2 * 32 more than the weight makes of it
  residency.set_adapter_scale(0, 0);
  const Tensor none = out();
  EXPECT_TRUE(golden::close(one, none + 32, 1e-6));
  residency.release(Part::kTransformer);
  residency.set_adapter_scale(0, 2);
  EXPECT_TRUE(golden::close(out(), none + 64, 1e-6));
}

TEST(ModelFiles, WhatIsHeldOpenIsNotReadAgain) {
  const TemporaryFolder folder;
  const Path model = folder / "model";
  std::filesystem::copy(golden::path("tiny-fill"), model, std::filesystem::copy_options::recursive);
  ModelRequest request;
  request.model = model.string();
  const ModelFiles files = ModelFiles::find(request), copy = files;
  const auto entries = [](const Component& c) { return c.checkpoint.entries().size(); };
  auto opened = files.hold_open();
  std::filesystem::remove_all(model / "transformer");
  EXPECT_GT(entries(*opened[0]), 0u);
  for (const ModelFiles& held : {files, copy})
    EXPECT_EQ(entries(held.open(Part::kTransformer)), entries(*opened[0]));
  opened.clear();
  EXPECT_THROW(copy.open(Part::kTransformer), Error);
}

}  // namespace
}  // namespace icedit
