// Weights of every layout on the pretend device: products, and what they take there.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/process.h"
#include "device/on_device.h"
#include "edit/memory_estimate.h"
#include "io/temporary_folder.h"
#include "models/flux/names.h"
#include "models/single_file.h"
#include "nn/comfy_quant.h"
#include "nn/embedding.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"
#include "nn/linear.h"
#include "nn/named_tensors.h"

namespace icedit {
namespace {

using pretend::device, pretend::Memory;

constexpr int64_t kIn = 512, kOut = 96, kElements = kIn * kOut;

class MatricesOnDevice : public ::testing::Test {
 protected:
  Weights weights(const Named& tensors, LoadOptions options = {}) const {
    const Path file = folder_ / "model.safetensors";
    save_tensors(file, tensors);
    options.device = device();
    return Weights(Checkpoint::open(file), options) / "layer";
  }
  Named int8() const {
    const Int8Values v = quantised_rows(weight_, 256);
    return {{"layer.weight", v.values},
            {"layer.weight_scale", v.scales},
            {"layer.comfy_quant", bytes_tensor(comfy_quant_text({std::string(kInt8Format), 256}))}};
  }
  Named int4() const { return layer_in_4_bits(weight_); }
  Named fp8() const {
    return {{"layer.weight", (weight_ / 2).to(at::kFloat8_e4m3fn)},
            {"layer.scale_weight", at::full({}, 2.0F)}};
  }
  // Of its products, and what it holds.
  void expect(const Named& tensors, const Tensor& dense, int64_t bytes,
              const LoadOptions& options) {
    const c10::InferenceMode inference;
    const int64_t before = Memory::all().now();
    const Linear linear(weights(tensors, options), kIn, kOut, /*bias=*/false);
    EXPECT_NEAR(double(Memory::all().now() - before), double(bytes), 2048);
    const Tensor x = x_.to(options.compute);
    const double tolerance = options.compute == at::kFloat ? 1e-5 : 2e-2;
    EXPECT_TRUE(golden::close(linear(x.to(device())), at::linear(x_, dense), tolerance));
  }

  TemporaryFolder folder_;
  Tensor weight_ = at::randn({kOut, kIn}), x_ = at::randn({1, 7, kIn});
};

TEST_F(MatricesOnDevice, WholeNumbersAreDenseThere) {
  const Tensor eight = int8_matrix(quantised_rows(weight_, 256))->dense(at::kFloat);
  const Tensor four = int4_matrix(quantised_rows_in_4_bits(weight_, 256))->dense(at::kFloat);
  for (const bool stored : {false, true}) {
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      const LoadOptions options = {.compute = compute, .keep_stored = stored};
      expect(int8(), eight, kElements * at::elementSize(compute), options);
      expect(int4(), four, kElements * at::elementSize(compute), options);
    }
  }
}

TEST_F(MatricesOnDevice, Fp8IsKeptOrConverted) {
  const Tensor dense = (weight_ / 2).to(at::kFloat8_e4m3fn).to(at::kFloat) * 2;
  expect(fp8(), dense, kElements, {.keep_stored = true});
  expect(fp8(), dense, 4 * kElements, {.keep_stored = false});
}

TEST_F(MatricesOnDevice, TablesOfVectorsAreReadFromFp8) {
  const Named table = {{"layer.weight", weight_.to(at::kFloat8_e4m3fn)}};
  const Embedding embedding(weights(table), kOut, kIn);
  const Tensor rows = embedding(at::tensor({3, 5}, at::kLong));
  EXPECT_EQ(rows.device(), device());
  EXPECT_TRUE(golden::equal(rows[1], weight_[5].to(at::kFloat8_e4m3fn).to(at::kFloat)));
}

// What is only checked is not copied there.
TEST_F(MatricesOnDevice, WhatIsLoadedLaterTakesNothingBefore) {
  const int64_t before = Memory::all().now();
  Memory::all().start();
  LoadOptions later;
  later.deferred = [](const std::string&) { return true; };
  Linear linear(weights({{"layer.weight", weight_}}, later), kIn, kOut, /*bias=*/false);
  EXPECT_EQ(Memory::all().most(), before);
  for (int i = 0; i < 2; ++i) {
    linear.load();
    EXPECT_EQ(Memory::all().now(), before + 4 * kElements);
    EXPECT_TRUE(golden::close(linear(x_.to(device())), at::linear(x_, weight_), 1e-5));
    linear.unload();
    EXPECT_EQ(Memory::all().now(), before);
  }
}

// Bytes of the file that are mapped into this process and in memory, on whatever disk it is.
int64_t mapped_bytes(const Path& file) {
  std::ifstream maps("/proc/self/smaps");
  int64_t bytes = 0;
  bool its = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" kB") == std::string::npos) its = line.ends_with(file.string());
    if (its && line.starts_with("Rss:")) bytes += 1024 * std::stoll(line.substr(4));
  }
  return bytes;
}

TEST_F(MatricesOnDevice, TheFilesPagesAreGivenBack) {
  constexpr int64_t kWide = 2048, kBytes = 4 * kWide * kWide;
  const Weights w = weights({{"layer.weight", at::zeros({kWide, kWide})}});
  const Path file = folder_ / "model.safetensors";
  EXPECT_EQ(w.stored("weight", {kWide, kWide}).cpu().sum().item<float>(), 0);
  EXPECT_GE(mapped_bytes(file), kBytes);
  const Linear linear(w, kWide, kWide, /*bias=*/false);
  EXPECT_LT(mapped_bytes(file), kBytes / 4);
  w.stored("weight", {kWide, kWide}).cpu().sum();
  EXPECT_GE(mapped_bytes(file), kBytes);
  const Embedding embedding(w, kWide, kWide);
  EXPECT_LT(mapped_bytes(file), kBytes / 4);
}

TEST(GgufOnDevice, GivesWhatTheDequantisedWeightsGive) {
  for (const bool stored : {false, true}) {
    const auto want = golden::load("gguf/tiny-fill-q4_0_forward.safetensors");
    LoadOptions options;
    options.device = device();
    options.keep_stored = stored;
    const auto model = FluxTransformer::load(
        flux_single_file(Checkpoint::open(golden::path("gguf/tiny-fill-q4_0.gguf"))),
        JsonFile(golden::path("tiny-fill/transformer/config.json")), options);
    EXPECT_TRUE(golden::close(golden::forward(model, pretend::placed(golden::flux_inputs(want))),
                              golden::get(want, "output"), 5e-6));
  }
}

ModelFiles tiny_fill() {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  return ModelFiles::find(request);
}

TEST(QuantOnDevice, WhatOnlyTheCpuComputesIsRefused) {
  const auto error = [](const std::function<void(ResidencyOptions&)>& change) {
    ResidencyOptions options;
    options.device = device();
    change(options);
    try {
      const Residency residency(tiny_fill(), options);
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(error([](ResidencyOptions& o) { o.quant = Quant::kInt8; }),
            "weights in int8 (--quant, train.base_quant) are for the CPU, but the device is "
            "pretend:0; leave one of them out");
  EXPECT_EQ(error([](ResidencyOptions& o) { o.gguf_compute = GgufCompute::kInt8; }),
            "products of GGUF's blocks in 8 bits (--gguf-compute int8) are for the CPU, but the "
            "device is pretend:0; leave one of them out");
}

}  // namespace
}  // namespace icedit
