// Gradients with and without gradient checkpointing are the same bits.
#include "nn/recompute.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "models/flux/transformer.h"
#include "nn/matrix.h"
#include "train/objective.h"

namespace icedit {
namespace {

StepInputs step_inputs(const golden::Tensors& t) {
  const auto get = [&](const std::string& name) { return golden::get(t, "0." + name); };
  return {
      get("x_0"),
      {get("condition"), get("prompt_embeds"), get("pooled"), get("image_ids"), get("text_ids")}};
}

TEST(Recompute, EveryWeightsGradientIsBitForBitTheSame) {
  const auto t = golden::load("training/batches.safetensors");
  const Path folder = golden::path("tiny-fill/transformer");
  auto model =
      FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
  std::vector<Tensor> weights;
  for (auto& [path, linear] : model.linears())
    for (const Tensor& weight : linear.train_weights()) weights.push_back(weight);
  std::vector<Tensor> kept, losses;
  for (const bool recompute : {false, true}) {
    ObjectiveOptions options;
    if (recompute) options.around = recomputed_block;
    const StepOutput out =
        objective(model, step_inputs(t), golden::get(t, "0.t"), golden::get(t, "0.x_1"), options);
    out.loss.backward();
    losses.push_back(out.loss);
    for (size_t i = 0; i < weights.size(); ++i) {
      Tensor& grad = weights[i].mutable_grad();
      ASSERT_TRUE(grad.defined()) << i;
      if (recompute)
        EXPECT_TRUE(golden::equal(grad, kept[i])) << i;
      else
        kept.push_back(grad);
      grad = Tensor();
    }
  }
  EXPECT_TRUE(golden::equal(losses[0], losses[1]));
}

TEST(Recompute, LeavesInsideGetGradientsThoughNoInputWantsOne) {
  const Tensor w = at::full({3}, 2.0).requires_grad_(), x = at::arange(3).to(at::kFloat);
  int calls = 0;
  const auto f = [&](const Tensors& in) {
    ++calls;
    return Tensors{in[0] * w, in[0] + 1};
  };
  recomputed(f, {x})[0].sum().backward();
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(golden::equal(w.grad(), x));
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(recomputed(f, {x})[0].requires_grad());
  EXPECT_EQ(calls, 3);
}

TEST(Recompute, WhatIsComputedOnceIsTakenAgain) {
  const Tensor w = at::full({3}, 2.0).requires_grad_();
  int calls = 0;
  const auto f = [&](const Tensors& in) {
    const bool wanted = gradients_wanted();
    const Tensor once =
        computed_once([&]() -> Tensors { return {at::full({3}, double(++calls))}; })[0];
    return Tensors{in[0] * w * once * (wanted ? 1 : 0)};
  };
  for (const double expected : {1.0, 2.0}) {  // not from one use to the next
    w.mutable_grad() = Tensor();
    const Tensor out = recomputed(f, {at::ones({3})})[0];
    EXPECT_TRUE(golden::equal(out, at::full({3}, 2 * expected)));
    out.sum().backward();
    EXPECT_TRUE(golden::equal(w.grad(), at::full({3}, expected)));
    EXPECT_EQ(calls, int(expected));
  }
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(gradients_wanted());
}

class CountedMatrix : public Matrix {
 public:
  explicit CountedMatrix(Tensor weight) : weight_(std::move(weight)) {}
  Tensor times(const Operand& x, const Tensor& bias) const override {
    ++products;
    return Matrix::times(x, bias);
  }
  Tensor dense(at::ScalarType dtype) const override { return weight_.to(dtype); }
  void each_tile(at::ScalarType dtype,
                 const std::function<void(int64_t first, const Tensor& rows)>& use) const override {
    use(0, dense(dtype));
  }
  bool holds(at::ScalarType dtype) const override { return weight_.scalar_type() == dtype; }
  mutable int products = 0;

 private:
  Tensor weight_;
};

TEST(Recompute, ABlocksLastProductOfAFrozenF32MatrixIsMadeOnce) {
  at::manual_seed(1);
  const Tensor weight = at::randn({6, 4}), bias = at::randn({6}), input = at::randn({1, 3, 4});
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto matrix = std::make_shared<CountedMatrix>(weight.to(dtype));
    const auto f = [&](const Tensors& in) {
      return Tensors{matrix_product(in[0], matrix, bias.to(dtype), /*once=*/true) * in[1]};
    };
    std::vector<Tensors> grads;
    for (const bool recompute : {false, true}) {
      Tensors in = {input.to(dtype, false, true).requires_grad_(),
                    at::full({6}, 2.0, dtype).requires_grad_()};
      matrix->products = 0;
      (recompute ? recomputed(f, in) : f(in))[0].square().sum().backward();
      EXPECT_EQ(matrix->products, recompute && dtype != at::kFloat ? 2 : 1);
      grads.push_back({in[0].grad(), in[1].grad()});
    }
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(golden::equal(grads[0][i], grads[1][i]));
  }
}

}  // namespace
}  // namespace icedit
