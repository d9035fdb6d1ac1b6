// LoRAs and mixtures of them on the pretend device, against what diffusers and peft made.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <optional>

#include "adapters/tiny_model.h"
#include "device/on_device.h"

namespace icedit {
namespace {

using pretend::device, pretend::placed;

class AdaptersOnDevice : public ::testing::Test {
 protected:
  static FluxTransformer model_on_device() {
    LoadOptions options;
    options.device = device();
    return tiny_model(options);
  }
  LoadedAdapter attach(const std::string& file, const AdapterFileOptions& options = {}) {
    LoadedAdapter adapter = attach_adapter(model_.linears(), open_golden(file, options));
    for (auto& [path, linear] : model_.linears()) linear.fold();  // what cannot be is left
    return adapter;
  }
  ::testing::AssertionResult is(const golden::Tensors& t, const std::string& name,
                                double tolerance) const {
    return golden::close(forward(model_, placed(flux_inputs(t))), golden::get(t, name), tolerance);
  }

  FluxTransformer model_ = model_on_device();
};

TEST_F(AdaptersOnDevice, ALoraIsSwitchedWithoutReloading) {
  const auto t = golden::load("lora/forward.safetensors");
  constexpr double kLora = golden::tolerance::kLora;
  for (const std::string name : {"alpha4", "alpha8"}) {
    LoadedAdapter adapter = attach("lora/" + name);
    EXPECT_TRUE(is(t, "out." + name + ".loaded.scale1.0", kLora));
    adapter.set_scale(0.25);
    EXPECT_TRUE(is(t, "out." + name + ".loaded.scale0.25", kLora));
    adapter.set_scale(0);
    EXPECT_TRUE(is(t, "out.base", kLora));
    adapter.detach();
    EXPECT_TRUE(is(t, "out.base", kLora));
  }
}

// Where the CPU's products in bf16 add it in their own pass.
TEST(AdaptersOnDeviceInBf16, LorasAndMixtures) {
  const c10::InferenceMode inference;
  const auto in = flux_inputs(golden::load("lora/forward.safetensors"), at::kBFloat16);
  const auto made = [&](at::Device where, const std::string& file) {
    LoadOptions options;
    options.compute = at::kBFloat16;
    options.device = where;
    FluxTransformer model = tiny_model(options);
    std::optional<LoadedAdapter> adapter;
    if (!file.empty()) adapter = attach_adapter(model.linears(), open_golden(file));
    return forward(model, where == device() ? placed(in) : in).cpu().to(at::kFloat);
  };
  const Tensor base = made(device(), "");
  for (const char* file : {"lora/alpha8", "moe"}) {
    const Tensor there = made(device(), file), here = made(at::kCPU, file);
    EXPECT_LT((there - here).norm().item<double>(), 0.03 * here.norm().item<double>()) << file;
    EXPECT_GT((there - base).norm().item<double>(), 0.1 * base.norm().item<double>()) << file;
  }
}

TEST_F(AdaptersOnDevice, ALoraThatIsLetGoOfGivesItsMemoryBack) {
  const int64_t before = pretend::Memory::all().now();
  {
    LoadedAdapter adapter = attach("lora/alpha8");
    EXPECT_GT(pretend::Memory::all().now(), before);
    adapter.detach();
  }
  EXPECT_EQ(pretend::Memory::all().now(), before);
}

TEST_F(AdaptersOnDevice, AMixtureChoosesTheSameExperts) {
  const auto t = golden::load("moe/forward.safetensors");
  for (const int64_t top_k : {1, 2}) {
    AdapterFileOptions options;
    options.top_k = top_k;
    LoadedAdapter adapter = attach("moe", options);
    size_t seen = 0;
    for (const auto& layer : adapter.layers()) {
      layer.adapter->on_route = [&, name = layer.adapter->module](const MoeRouting& routing) {
        ++seen;
        EXPECT_TRUE(golden::equal(routing.indices,
                                  golden::get(t, str("top", top_k, ".", name, ".indices"))));
      };
    }
    EXPECT_TRUE(is(t, str("top", top_k, ".output"), golden::tolerance::kMoe));
    EXPECT_EQ(seen, 5u);
    adapter.detach();
  }
}

}  // namespace
}  // namespace icedit
