// LoRAs and mixtures of them on the pretend device, against what diffusers and peft made.
#include <gtest/gtest.h>

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
