#include "nn/linear.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

constexpr double kRounding = 1e-6;
constexpr int64_t kIn = 6, kOut = 4, kRank = 2;

// A change of low rank that may be folded.
struct LowRank : LinearAdapter {
  Tensor delta = at::randn({kOut, kRank}).matmul(at::randn({kRank, kIn}));
  double factor = 1.0;
  bool trained = false;

  Tensor add_to(const Tensor& y, const Operand& x) const override {
    return y + factor * at::linear(x.tensor(), delta);
  }
  std::optional<double> fold_factor() const override {
    return trained ? std::nullopt : std::optional(factor);
  }
  Tensor fold_delta() const override { return delta; }
};

// A checkpoint with one Linear "layer" in it, its matrix of `dtype`.
class LinearFile : public ::testing::Test {
 protected:
  Linear load(at::ScalarType dtype, bool keep_stored,
              const std::vector<std::pair<std::string, Tensor>>& more = {}) {
    std::vector<std::pair<std::string, Tensor>> tensors = {{"layer.weight", weight_.to(dtype)},
                                                           {"layer.bias", bias_}};
    tensors.insert(tensors.end(), more.begin(), more.end());
    const Path file = folder_.path() / "model.safetensors";
    save_tensors(file, tensors);
    LoadOptions options;
    options.keep_stored = keep_stored;
    const Weights w(Checkpoint::open(file), options);
    const Linear linear(w / "layer", kIn, kOut);
    w.expect_all_used();
    return linear;
  }

  static std::shared_ptr<LowRank> adapter(double factor) {
    auto made = std::make_shared<LowRank>();
    made->factor = factor;
    return made;
  }

  TemporaryFolder folder_;
  Tensor weight_ = at::randn({kOut, kIn}), bias_ = at::randn({kOut}), x_ = at::randn({3, kIn});
};

TEST_F(LinearFile, EveryStoredDtypeComputesInF32) {
  for (const auto dtype :
       {at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const Tensor want = at::linear(x_, weight_.to(dtype).to(at::kFloat), bias_);
    for (const bool keep : {false, true}) {
      EXPECT_TRUE(golden::close(load(dtype, keep)(x_), want, kRounding))
          << at::toString(dtype) << " " << keep;
    }
  }
}

TEST_F(LinearFile, Fp8ScalesOfBothNames) {
  const Tensor stored = weight_.to(at::kFloat8_e4m3fn).to(at::kFloat);
  const Tensor rows = at::rand({kOut}) + 0.5;
  const Tensor one = at::scalar_tensor(0.25);
  for (const bool keep : {false, true}) {
    const Linear scalar =
        load(at::kFloat8_e4m3fn, keep, {{"layer.scale_weight", one}, {"layer.scale_input", one}});
    EXPECT_TRUE(golden::close(scalar(x_), at::linear(x_, stored * 0.25, bias_), kRounding));
    const Linear per_row = load(at::kFloat8_e4m3fn, keep, {{"layer.weight_scale", rows}});
    EXPECT_TRUE(
        golden::close(per_row(x_), at::linear(x_, stored * rows.unsqueeze(1), bias_), kRounding));
  }
  EXPECT_THROW(load(at::kFloat8_e4m3fn, false, {{"layer.weight_scale", at::rand({3})}}),
               CheckpointError);
}

TEST_F(LinearFile, BackwardThroughAStoredWeight) {
  const auto gradient = [&](const Linear& linear) {
    Tensor x = x_.clone().requires_grad_(true);
    linear(x).pow(2).sum().backward();
    return x.grad();
  };
  const Tensor want = gradient(load(at::kBFloat16, false));
  EXPECT_TRUE(golden::close(gradient(load(at::kBFloat16, true)), want, kRounding));
}

TEST_F(LinearFile, FoldedAdaptersEqualAddedOnesAndFollowTheirScales) {
  Linear linear = load(at::kFloat, false);
  const auto first = adapter(1.0), second = adapter(-0.5);
  const Tensor plain = linear(x_);
  const auto want = [&] { return second->add_to(first->add_to(plain, x_), x_); };
  linear.attach(first);
  linear.attach(second);
  EXPECT_TRUE(golden::equal(linear(x_), want()));
  for (const double factor : {1.0, 0.3, 0.0}) {
    first->factor = factor;
    linear.fold();
    EXPECT_TRUE(golden::close(linear(x_), want(), kRounding)) << factor;
    EXPECT_FALSE(golden::equal(linear(x_), plain));
    EXPECT_TRUE(golden::equal(linear.weight(), weight_));
  }
  linear.detach(second.get());
  EXPECT_TRUE(golden::equal(linear(x_), plain));
}

TEST_F(LinearFile, NothingIsFoldedThatIsConvertedAtEachUse) {
  Linear linear = load(at::kBFloat16, true);
  const auto change = adapter(1.0);
  const Tensor plain = linear(x_);
  linear.attach(change);
  linear.fold();
  EXPECT_TRUE(golden::equal(linear(x_), change->add_to(plain, x_)));
}

TEST_F(LinearFile, TrainedAdaptersAreNeverFolded) {
  Linear linear = load(at::kFloat, false);
  const auto trained = adapter(1.0);
  trained->trained = true;
  linear.attach(trained);
  linear.fold();
  const Tensor before = linear(x_);
  trained->delta.add_(1.0);
  EXPECT_FALSE(at::equal(linear(x_), before));
}

TEST_F(LinearFile, LetGoOfAndLoadedItIsTheSame) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Linear linear = load(dtype, false);
    linear.attach(adapter(0.5));
    linear.fold();
    const Tensor plain_weight = linear.weight(), made = linear(x_);
    linear.unload();
    EXPECT_TRUE(golden::equal(linear(x_), made));  // made anew at each use
    EXPECT_TRUE(golden::equal(linear.weight(), plain_weight));
    linear.load();
    EXPECT_TRUE(golden::equal(linear(x_), made));
    linear.unload();
    linear.attach(adapter(2));  // attached and folded while nothing is there
    linear.fold();
    const Tensor both = linear(x_);
    linear.load();
    EXPECT_TRUE(golden::equal(linear(x_), both));
    EXPECT_FALSE(golden::close(both, made, 1e-3));
  }
}

TEST_F(LinearFile, TrainedWeightsStay) {
  Linear linear = load(at::kFloat, false);
  const std::vector<Tensor> weights = linear.train_weights();
  {
    const at::NoGradGuard no_grad;
    weights[0].add_(1);
  }
  linear.unload();
  linear.load();
  EXPECT_TRUE(golden::equal(linear.weight(), weight_ + 1));
}

TEST_F(LinearFile, WhatDoesNotFitIsNamed) {
  try {
    load(at::kFloat, false, {{"layer.extra", at::zeros({1})}});
    FAIL() << "no error";
  } catch (const CheckpointError& error) {
    EXPECT_NE(std::string(error.what()).find("'layer.extra'"), std::string::npos) << error.what();
  }
  weight_ = at::randn({kOut, kIn + 1});
  EXPECT_THROW(load(at::kFloat, false), CheckpointError);
}

}  // namespace
}  // namespace icedit
