#include "nn/int8_matrix.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "nn/comfy_quant.h"
#include "nn/linear.h"
#include "nn/named_tensors.h"

namespace icedit {
namespace {

constexpr int64_t kIn = 512, kOut = 40;

class Int8Layout : public ::testing::Test {
 protected:
  Named stored(int64_t group) const {
    const Int8Values v = quantised_rows(weight_, group);
    return {
        {"layer.weight", v.values},
        {"layer.weight_scale", v.scales.unsqueeze(1)},
        {"layer.comfy_quant", bytes_tensor(comfy_quant_text({std::string(kInt8Format), group}))}};
  }
  Weights weights(const Named& tensors) const {
    const Path file = folder_.path() / "model.safetensors";
    save_tensors(file, tensors);
    return Weights(Checkpoint::open(file), {}) / "layer";
  }
  // The error of loading it, "" where there is none.
  std::string error(const Named& tensors) const {
    try {
      load_matrix(weights(tensors), kIn, kOut);
      return "";
    } catch (const CheckpointError& e) {
      return e.what();
    }
  }

  TemporaryFolder folder_;
  Tensor weight_ = at::randn({kOut, kIn}), x_ = at::randn({2, 7, kIn}), bias_ = at::randn({kOut});
};

TEST_F(Int8Layout, RowsComeBackTo8Bits) {
  for (const int64_t group : {0, 16, 64, 256}) {
    const MatrixPtr matrix = int8_matrix(quantised_rows(weight_, group));
    EXPECT_LT(relative(matrix->dense(at::kFloat), weight_), 0.01) << group;
    EXPECT_GT(relative(matrix->dense(at::kFloat), weight_), 0.001) << group;
  }
}

TEST_F(Int8Layout, ProductsQuantiseInputsOnlyWithoutGradients) {
  const MatrixPtr matrix = int8_matrix(quantised_rows(weight_, 256));
  const Tensor exact = at::linear(x_, matrix->dense(at::kFloat), bias_);
  EXPECT_TRUE(
      golden::close(matrix_product(x_.clone().requires_grad_(), matrix, bias_), exact, 1e-5));
  const c10::InferenceMode no_grad;
  const double rounded = relative(matrix->times(x_, bias_), exact);
  EXPECT_LT(rounded, 0.01);
  EXPECT_GT(rounded, 0.001);
}

TEST_F(Int8Layout, RotationSpreadsOutliers) {
  const c10::InferenceMode no_grad;
  Tensor x = x_.clone();
  x.narrow(-1, 3, 5).mul_(50);
  const Tensor exact = at::linear(x, weight_);
  const auto error = [&](int64_t group) {
    return relative(int8_matrix(quantised_rows(weight_, group))->times(x, {}), exact);
  };
  EXPECT_LT(error(256), 0.5 * error(0));
}

TEST_F(Int8Layout, FilesGiveTheSameProducts) {
  const c10::InferenceMode no_grad;
  for (const int64_t group : {0, 256}) {
    const MatrixPtr made = int8_matrix(quantised_rows(weight_, group));
    const MatrixPtr read = load_matrix(weights(stored(group)), kIn, kOut);
    EXPECT_TRUE(golden::equal(read->times(x_, bias_), made->times(x_, bias_)));
    EXPECT_TRUE(golden::equal(read->dense(at::kFloat), made->dense(at::kFloat)));
  }
}

TEST_F(Int8Layout, GradientsGoThroughTheDenseMatrix) {
  const MatrixPtr matrix = int8_matrix(quantised_rows(weight_, 256));
  Tensor x = x_.clone().requires_grad_();
  const Tensor g = at::randn({2, 7, kOut});
  matrix_product(x, matrix, bias_).backward(g);
  EXPECT_TRUE(golden::close(x.grad(), at::matmul(g, matrix->dense(at::kFloat)), 1e-5));
}

TEST_F(Int8Layout, WhatIsWrongIsNamed) {
  const auto without = [&](const std::string& name) {
    Named kept;
    for (const auto& entry : stored(256))
      if (entry.first != name) kept.push_back(entry);
    return kept;
  };
  const auto with = [&](const std::string& name, const Tensor& tensor) {
    Named changed = without(name);
    changed.emplace_back(name, tensor);
    return changed;
  };
  const auto says = [&](const std::string& json) {
    return with("layer.comfy_quant", bytes_tensor(json));
  };
  EXPECT_EQ(error(stored(256)), "");
  const std::vector<std::pair<Named, std::string>> cases = {
      {without("layer.weight_scale"), "there is no 'weight_scale'"},
      {without("layer.comfy_quant"), "no 'comfy_quant'"},
      {with("layer.weight_scale", at::ones({3})), "one value for each of the 40 rows"},
      {says("not json"), "is not a JSON object"},
      {says(R"({"format": "nvfp4"})"), R"(says format "nvfp4")"},
      {says(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 100})"),
       "a power of 4"},
      {says(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 1024})"),
       "do not divide the matrix's 512"},
      {says(std::string((64 << 10) + 1, ' ')), "at most 64 KiB"},
  };
  for (const auto& [tensors, what] : cases) {
    const std::string got = error(tensors);
    EXPECT_NE(got.find(what), std::string::npos) << got;
    EXPECT_NE(got.find("'layer."), std::string::npos) << got;
  }
}

TEST_F(Int8Layout, LinearsAreQuantisedWhereTheOptionsSaySo) {
  const c10::InferenceMode no_grad;
  const Path file = folder_.path() / "model.safetensors";
  save_tensors(file, {{"a.weight", weight_}, {"b.weight", weight_}});
  LoadOptions options;
  options.quantises = [](const std::string& path) { return path == "a"; };
  options.quant = Quant::kInt8;
  const Weights w(Checkpoint::open(file), options);
  const Linear a(w / "a", kIn, kOut, false), b(w / "b", kIn, kOut, false);
  EXPECT_TRUE(golden::equal(b(x_), at::linear(x_, weight_)));
  EXPECT_TRUE(golden::equal(a(x_), int8_matrix(quantised_rows(weight_, 256))->times(x_, {})));
}

}  // namespace
}  // namespace icedit
