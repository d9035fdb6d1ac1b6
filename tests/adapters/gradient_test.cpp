// The first training step: prediction, loss and the gradient of every adapter tensor.
#include "tiny_model.h"

namespace icedit {
namespace {

using golden::tolerance::kFirstStep;

class FirstStep : public ::testing::TestWithParam<const char*> {};

TEST_P(FirstStep, PredictionLossAndEveryGradient) {
  const std::string name = GetParam();
  const auto batch = golden::load("training/batches.safetensors");
  const auto t = golden::load("training/first_step_" + name + ".safetensors");
  const auto get = [&](const std::string& key) { return golden::get(batch, "0." + key); };

  NamedTensors tensors;
  for (const auto& [key, tensor] : t) {
    if (key.rfind("lora.", 0) == 0) tensors[key.substr(5)] = tensor;
  }
  const TemporaryFolder folder;
  AdapterFileOptions file_options;
  file_options.top_k = name == "moe_top2" ? 2 : 1;
  const AdapterFile file = AdapterFile::open(write_adapter(folder, tensors), file_options);
  FluxTransformer model = tiny_model();
  AttachOptions options;
  options.trainable = true;
  const LoadedAdapter adapter = attach_adapter(model.linears(), file, options);

  const Conditioning conditioning = {get("condition"), get("prompt_embeds"), get("pooled"),
                                     get("image_ids"), get("text_ids")};
  const Tensor pred = model.forward(get("x_t"), conditioning, get("t"), at::ones_like(get("t")));
  const Tensor loss = at::mse_loss(pred, get("x_1") - get("x_0"));
  loss.backward();

  EXPECT_TRUE(golden::close(pred, golden::get(t, "pred"), kFirstStep));
  EXPECT_TRUE(golden::close(loss, golden::get(t, "loss"), kFirstStep));
  EXPECT_EQ(adapter.tensors().size(), tensors.size());
  for (const auto& [key, tensor] : adapter.tensors()) {
    const Tensor want = golden::get(t, "grad." + key);
    ASSERT_TRUE(tensor.grad().defined()) << key;
    if (want.any().item<bool>()) {
      EXPECT_TRUE(golden::close(tensor.grad(), want, kFirstStep)) << key;
    } else {
      EXPECT_FALSE(tensor.grad().any().item<bool>()) << key;  // top_k 1: the router's
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FirstStep, ::testing::Values("lora", "moe_top1", "moe_top2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace icedit
