#include "nn/int4_matrix.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "nn/comfy_quant.h"
#include "nn/ggml.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/int4_rows.h"
#include "nn/large_blocks.h"
#include "nn/linear.h"
#include "nn/named_tensors.h"

namespace icedit {
namespace {

constexpr int64_t kIn = 512, kOut = 72, kRuns = kIn / 16;

// What the format says the values are, value by value.
Tensor as_the_format_says(const Int4Values& v) {
  const Tensor packed = v.codes.to(at::kInt);
  const Tensor codes = at::stack({packed.bitwise_and(15), packed.bitwise_right_shift(4)}, -1)
                           .reshape({v.scales.size(0), -1, 16});
  const Tensor levels = v.levels.index({codes.to(at::kLong)});
  const Tensor rounded =
      (levels * v.run_scales.to(at::kFloat).unsqueeze(-1)).round().clamp(-127, 127);
  return rounded.flatten(1) * v.scales.unsqueeze(1);
}

class Int4Layout : public ::testing::Test {
 protected:
  Named stored() const { return layer_in_4_bits(weight_); }
  Named with(const std::string& name, const Tensor& tensor) const {
    Named changed;
    for (const auto& entry : stored())
      if (entry.first != "layer." + name) changed.push_back(entry);
    if (tensor.defined()) changed.emplace_back("layer." + name, tensor);
    return changed;
  }
  MatrixPtr load(const Named& tensors, const std::map<std::string, std::string>& header = {}) {
    const Path file = folder_.path() / "model.safetensors";
    save_tensors(file, tensors, header);
    return load_matrix(Weights(Checkpoint::open(file), {}) / "layer", kIn, kOut);
  }

  TemporaryFolder folder_;
  Tensor weight_ = at::randn({kOut, kIn}), x_ = at::randn({2, 7, kIn}), bias_ = at::randn({kOut});
};

TEST_F(Int4Layout, ValuesAreThoseOfTheFormat) {
  for (const int64_t group : {0, 16, 256}) {
    const Int4Values v = quantised_rows_in_4_bits(weight_, group);
    Tensor want = as_the_format_says(v);
    rotate_rows(want, group);
    const Tensor got = int4_matrix(v)->dense(at::kFloat);
    EXPECT_TRUE(golden::close(got, want, 1e-6)) << group;
    EXPECT_LT(relative(got, weight_), 0.075) << group;  // comfy-kitchen's figure is 0.0706
    EXPECT_GT(relative(got, weight_), 0.05) << group;
  }
}

// Rows and inputs that fill no whole tile, and more rows than are made at a time.
TEST_F(Int4Layout, ProductsAreThoseOfTheSameValuesInInt8) {
  const c10::InferenceMode no_grad;
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{72, 512}, {19, 48}, {1100, 208}}) {
    const Int4Values v = quantised_rows_in_4_bits(at::randn({out, in}), 16);
    const Tensor grid = as_the_format_says(v).div(v.scales.unsqueeze(1)).round().to(at::kChar);
    const MatrixPtr same = int8_matrix({grid, v.scales, 16});
    const Tensor x = at::randn({1, 5, in}), bias = at::randn({out});
    EXPECT_TRUE(golden::equal(int4_matrix(v)->times(x, bias), same->times(x, bias))) << out;
    EXPECT_TRUE(golden::equal(int4_matrix(v)->times(x, {}), same->times(x, {}))) << out;
  }
}

TEST_F(Int4Layout, ZerosAndOutliersStay) {
  Tensor rows = weight_.clone();
  rows[0].zero_();
  rows[1].mul_(1e-12);
  rows[2][5] = 1000;
  const Tensor got = int4_matrix(quantised_rows_in_4_bits(rows, 0))->dense(at::kFloat);
  EXPECT_TRUE(at::isfinite(got).all().item<bool>());
  EXPECT_EQ(got[0].abs().max().item<float>(), 0);
  EXPECT_NEAR(got[2][5].item<float>(), 1000, 120);  // what is best for its run as a whole
}

TEST_F(Int4Layout, GradientsGoThroughTheDenseMatrixAndInputsStayAsTheyAre) {
  const MatrixPtr matrix = int4_matrix(quantised_rows_in_4_bits(weight_, 256));
  const Tensor dense = matrix->dense(at::kFloat);
  Tensor x = x_.clone().requires_grad_();
  const Tensor y = matrix_product(x, matrix, bias_), g = at::randn({2, 7, kOut});
  EXPECT_TRUE(golden::close(y, at::linear(x_, dense, bias_), 1e-5));
  y.backward(g);
  EXPECT_TRUE(golden::close(x.grad(), at::matmul(g, dense), 1e-5));
}

TEST_F(Int4Layout, FilesGiveTheSameProducts) {
  const c10::InferenceMode no_grad;
  const MatrixPtr made = int4_matrix(quantised_rows_in_4_bits(weight_, 256));
  EXPECT_TRUE(golden::equal(load(stored())->times(x_, bias_), made->times(x_, bias_)));
  // The description in the header, the rotation unsaid.
  const std::map<std::string, std::string> header = {
      {"_quantization_metadata",
       R"({"format_version": "1.0", "layers": {"layer": {"format": "asym_w4a8_int8"}}})"}};
  EXPECT_TRUE(golden::equal(load(with("comfy_quant", {}), header)->times(x_, bias_),
                            made->times(x_, bias_)));
}

TEST_F(Int4Layout, LinearsTakeThem) {
  const c10::InferenceMode no_grad;
  const Path file = folder_.path() / "model.safetensors";
  save_tensors(file, stored());
  const Weights w(Checkpoint::open(file), {});
  const Linear linear(w / "layer", kIn, kOut, /*bias=*/false);
  w.expect_all_used();
  EXPECT_TRUE(golden::equal(linear(x_),
                            int4_matrix(quantised_rows_in_4_bits(weight_, 256))->times(x_, {})));
}

TEST_F(Int4Layout, WithoutLevelsACodeIsItselfLess8) {
  const Int4Values v = quantised_rows_in_4_bits(weight_, 256);
  Int4Values even = v;
  even.levels = at::arange(-8, 8, at::kFloat);
  EXPECT_TRUE(golden::equal(load(with("weight_codebook", {}))->dense(at::kFloat),
                            int4_matrix(even)->dense(at::kFloat)));
}

TEST_F(Int4Layout, WhatIsWrongIsNamed) {
  const auto nan = [](const Tensor& t) { return t.clone().fill_(std::nan("")); };
  const Tensor run_scales = stored()[1].second;
  const auto says = [&](const std::string& json) {
    return with("comfy_quant", bytes_tensor(json));
  };
  const std::vector<std::pair<Named, std::string>> cases = {
      {with("weight_s_rel", {}), "there is no 'weight_s_rel'"},
      {with("weight_s_rel", run_scales.narrow(1, 0, 3).clone()),
       "is F8_E4M3 [72, 3], expected F8_E4M3 [72, 32]"},
      {with("weight_s_rel", nan(run_scales)), "NaN"},
      {with("weight_s_channel", {}), "there is no 'weight_s_channel'"},
      {with("weight_s_channel", at::ones({kOut}, at::kBFloat16)), "is BF16 [72], expected F32"},
      {with("weight_codebook", at::ones({15})), "expected F32 [16]"},
      {with("weight_codebook", nan(at::ones({16}))), "NaN"},
      {with("weight_correction", at::ones({kRuns, kOut})), "asymmetric"},
      {with("weight", at::ones({kOut, kIn}, at::kChar)), "expected I8 [72, 256]"},
      {says(R"({"format": "asym_w4a8_int8", "group_size": 32})"), "group_size 32, expected 16"},
      {with("comfy_quant", {}), "no 'comfy_quant'"},
  };
  for (const auto& [tensors, what] : cases) {
    const std::string got =
        error_of<CheckpointError>([&, &t = tensors] { load(t)->times(x_, bias_); });
    EXPECT_NE(got.find(what), std::string::npos) << got;
    EXPECT_NE(got.find("'layer."), std::string::npos) << got;
    EXPECT_EQ(got.find('\n'), std::string::npos) << got;
  }
}

TEST_F(Int4Layout, AHeaderThatIsWrongIsNamed) {
  for (const std::string text : {"[1]", "{\"layers\": 3}", "not JSON"}) {
    const std::string got = error_of<CheckpointError>([&] {
      load(with("comfy_quant", {}), {{"_quantization_metadata", text}});
    });
    EXPECT_NE(got.find("'_quantization_metadata'"), std::string::npos) << got;
  }
  std::string deep(100000, '[');
  deep = R"({"layers": {"layer": )" + deep + std::string(100000, ']') + "}}";
  const std::string got = error_of<CheckpointError>([&] {
    load(with("comfy_quant", {}), {{"_quantization_metadata", deep}});
  });
  EXPECT_NE(got.find("too deeply"), std::string::npos) << got;
}

// Anonymous memory of this process, which no file can give back, without what is kept for later.
int64_t anonymous_bytes() {
  release_large_blocks();
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8)) << 10;
  return 0;
}

TEST_F(Int4Layout, MemoryIsThatOfTheBits) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a sanitizer keeps what is freed";
#endif
  const c10::InferenceMode no_grad;
  constexpr int64_t kSide = 4096, kMatrices = 1, kValues = kSide * kSide * kMatrices;
  const Path file = folder_.path() / "large.safetensors";
  {
    Named tensors;
    for (int64_t i = 0; i < kMatrices; ++i)
      tensors.emplace_back(str(i, ".weight"), at::ones({kSide, kSide}, at::kBFloat16));
    save_tensors(file, tensors);
  }
  keep_large_blocks();  // as the program does
  const auto taken = [&](Quant quant) {
    LoadOptions options;
    options.compute = at::kBFloat16;
    options.quantises = [](const std::string&) { return true; };
    options.quant = quant;
    const Weights w(Checkpoint::open(file), options);
    const Tensor x = at::ones({1, 2, kSide}, at::kBFloat16);
    load_matrix(w / "0", kSide, kSide)->times(x, {});  // what is allocated once
    const int64_t before = anonymous_bytes();
    std::vector<MatrixPtr> held;
    for (int64_t i = 0; i < kMatrices; ++i) {
      held.push_back(load_matrix(w / str(i), kSide, kSide));
      held.back()->times(x, {});
    }
    return double(anonymous_bytes() - before) / kValues;
  };
  EXPECT_NEAR(taken(Quant::kInt8), 1.0, 0.25);
  EXPECT_NEAR(taken(Quant::kInt4), 0.5625, 0.25);
}

TEST_F(Int4Layout, Q4BlocksAreRoundedTo8Bits) {
  const c10::InferenceMode no_grad;
  const Checkpoint file = Checkpoint::open(golden::path("gguf/tiny-fill-q4_0.gguf"));
  const Checkpoint::Entry& entry = file.entry("double_blocks.0.img_mlp.0.weight");
  ASSERT_EQ(entry.info.dtype, Dtype::kQ4_0);
  const Tensor dense = dequantised(entry);
  const Tensor scales = dense.abs().amax(1) / 127;
  const Tensor grid = (dense / scales.unsqueeze(1)).round().to(at::kChar);
  const Tensor x = at::randn({1, 5, dense.size(1)});
  const Tensor want = int8_matrix({grid, scales, 0})->times(x, {});
  EXPECT_TRUE(golden::close(ggml_matrix(entry, /*in_8_bits=*/true)->times(x, {}), want, 2e-3));
  EXPECT_FALSE(golden::close(ggml_matrix(entry)->times(x, {}), want, 2e-3));
}

}  // namespace
}  // namespace icedit
