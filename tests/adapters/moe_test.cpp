// MoE-LoRA: outputs, the chosen experts, and gradients, against tests/goldens/make/moe.py.
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "adapters/adapter_layer.h"
#include "tiny_model.h"

namespace icedit {
namespace {

using golden::tolerance::kMoe;

AdapterFileOptions picking(int64_t top_k) {
  AdapterFileOptions options;
  options.top_k = top_k;
  return options;
}

TEST(Moe, OutputsAndChosenExperts) {
  const auto t = golden::load("moe/forward.safetensors");
  for (const int64_t top_k : {1, 2}) {
    FluxTransformer model = tiny_model();
    const LoadedAdapter adapter =
        attach_adapter(model.linears(), open_golden("moe", picking(top_k)));
    std::map<std::string, MoeRouting> seen;
    for (const auto& layer : adapter.layers()) {
      if (!layer.adapter->has_router()) continue;
      layer.adapter->on_route = [&seen, name = layer.adapter->module](const MoeRouting& r) {
        seen[name] = r;
      };
    }
    const Tensor got = forward(model, flux_inputs(t));
    EXPECT_TRUE(golden::close(got, golden::get(t, str("top", top_k, ".output")), kMoe)) << top_k;
    EXPECT_EQ(seen.size(), 5u);
    for (const auto& [name, routing] : seen) {
      const std::string head = str("top", top_k, ".", name, ".");
      EXPECT_TRUE(golden::equal(routing.indices, golden::get(t, head + "indices"))) << head;
      EXPECT_TRUE(golden::close(routing.weights, golden::get(t, head + "weights"), kMoe)) << head;
    }
  }
}

TEST(Moe, OneLayer) {
  const auto t = golden::load("moe/forward.safetensors");
  FluxTransformer model = tiny_model();
  const LoadedAdapter adapter = attach_adapter(model.linears(), open_golden("moe"));
  for (const auto& layer : adapter.layers()) {
    if (layer.adapter->module != "transformer_blocks.0.ff.net.2") continue;
    const Tensor x = golden::get(t, "layer.x");
    EXPECT_EQ(layer.adapter->top_k, 1);
    EXPECT_EQ(layer.adapter->alpha, 4);
    EXPECT_TRUE(golden::close(layer.linear(x), golden::get(t, "layer.top1"), kMoe));
    layer.adapter->top_k = 2;
    EXPECT_TRUE(golden::close(layer.linear(x), golden::get(t, "layer.top2"), kMoe));
    return;
  }
  FAIL() << "no such layer";
}

TEST(Moe, SwitchedOffItChangesNothing) {
  const auto t = golden::load("moe/forward.safetensors");
  FluxTransformer model = tiny_model();
  LoadedAdapter adapter = attach_adapter(model.linears(), open_golden("moe"));
  const Tensor plain = forward(tiny_model(), flux_inputs(t));
  adapter.set_scale(0);
  EXPECT_TRUE(golden::equal(forward(model, flux_inputs(t)), plain));
  adapter.set_scale(1);
  EXPECT_FALSE(golden::equal(forward(model, flux_inputs(t)), plain));
  adapter.detach();
  EXPECT_TRUE(golden::equal(forward(model, flux_inputs(t)), plain));
}

// As a server has them, which switches between adapters.
TEST(Moe, SwitchedOffItLeavesALoraAsItIsAlone) {
  const FluxInputs in = flux_inputs(golden::load("moe/forward.safetensors"));
  FluxTransformer alone = tiny_model(), both = tiny_model();
  attach_adapter(alone.linears(), open_golden("lora/alpha8"));
  attach_adapter(both.linears(), open_golden("lora/alpha8"));
  LoadedAdapter moe = attach_adapter(both.linears(), open_golden("moe"));
  for (FluxTransformer* model : {&alone, &both}) {
    for (auto& [path, linear] : model->linears()) linear.fold();
  }
  EXPECT_FALSE(golden::equal(forward(both, in), forward(alone, in)));
  moe.set_scale(0);
  EXPECT_TRUE(golden::equal(forward(both, in), forward(alone, in)));
  moe.set_scale(1);
  EXPECT_FALSE(golden::equal(forward(both, in), forward(alone, in)));
  moe.set_scale(0);
  EXPECT_TRUE(golden::equal(forward(both, in), forward(alone, in)));
}

TEST(Moe, FileSaysWhatItIs) {
  const AdapterFile file = open_golden("moe");
  EXPECT_EQ(file.layout, "icedit-moe");
  EXPECT_EQ(std::count_if(file.modules.begin(), file.modules.end(),
                          [](const auto& module) { return module.has_router(); }),
            5);
  EXPECT_EQ(file.modules.size(), 31u);
  FluxTransformer model = tiny_model();
  const LoadedAdapter adapter = attach_adapter(model.linears(), file);
  EXPECT_EQ(adapter.report().tensors, 97u);  // 26 of two, 5 of nine
  EXPECT_TRUE(has(adapter.report().line, "5 mixtures among them"));
}

TEST(Moe, TopKBeyondTheExpertsIsAnError) {
  const std::string error = error_of<UsageError>([] { open_golden("moe", picking(5)); });
  EXPECT_TRUE(has(error, "top_k is 5, expected 1 to the number of experts, 4"));
}

// Every expert's part computed for every token, as the formula says.
Tensor dense(const AdapterLayer& m, const Tensor& y, const Tensor& x) {
  const Tensor logits = at::linear(x, m.route);
  const auto [top, indices] = at::topk(logits, m.top_k, -1);
  const Tensor weights = at::zeros_like(logits).scatter(-1, indices, at::softmax(top, -1));
  Tensor out = y;
  for (size_t e = 0; e < m.a.size(); ++e) {
    out = out + at::linear(at::linear(x, m.a[e]), m.b[e]) * m.scaling() *
                    weights.narrow(-1, int64_t(e), 1);
  }
  return out;
}

TEST(Moe, GradientsAreThoseOfTheFormulaEvenForUnusedExperts) {
  for (const int64_t top_k : {1, 2, 5}) {
    AdapterLayer moe;
    for (int e = 0; e < 5; ++e) {
      moe.a.push_back(at::randn({3, 8}).requires_grad_(true));
      moe.b.push_back(at::randn({6, 3}).requires_grad_(true));
    }
    moe.route = at::randn({5, 8}).requires_grad_(true);
    moe.alpha = 6;
    moe.top_k = top_k;
    moe.scale = std::make_shared<double>(1.0);
    const Tensor x =
        at::randn({1, 2, 8}).requires_grad_(true);  // two tokens: some experts get none
    const Tensor y = at::randn({1, 2, 6}).requires_grad_(true), target = at::randn({1, 2, 6});
    std::vector<Tensor> leaves = {x, y, moe.route};
    leaves.insert(leaves.end(), moe.a.begin(), moe.a.end());
    leaves.insert(leaves.end(), moe.b.begin(), moe.b.end());
    const auto gradients = [&](const Tensor& out) {
      for (const Tensor& leaf : leaves) leaf.mutable_grad() = Tensor();
      at::mse_loss(out, target).backward();
      std::vector<Tensor> found;
      for (const Tensor& leaf : leaves) found.push_back(leaf.grad());
      return found;
    };
    const Tensor out = moe.add_to(y, x);
    EXPECT_TRUE(golden::close(out, dense(moe, y, x), 1e-6));
    const auto got = gradients(out), want = gradients(dense(moe, y, x));
    for (size_t i = 0; i < got.size(); ++i) {
      if (want[i].abs().max().item<double>() == 0 || (i == 2 && top_k == 1)) {
        EXPECT_TRUE(got[i].defined() && !got[i].any().item<bool>())
            << "leaf " << i << " top_k " << top_k;
        continue;
      }
      EXPECT_TRUE(golden::close(got[i], want[i], 1e-5)) << "leaf " << i << " top_k " << top_k;
    }
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(golden::close(moe.add_to(y, x), out, 1e-6));
  }
}

// A mixture in f64 whose tokens do not change their picks for a small step.
void make_f64_mixture(int64_t top_k, AdapterLayer& moe) {
  for (int e = 0; e < 4; ++e) {
    moe.a.push_back(at::randn({3, 8}, at::kDouble).requires_grad_(true));
    moe.b.push_back(at::randn({6, 3}, at::kDouble).requires_grad_(true));
  }
  moe.route = at::randn({4, 8}, at::kDouble).requires_grad_(true);
  moe.top_k = top_k;
  moe.scale = std::make_shared<double>(1.0);
}

TEST(Balance, IsOneWhenAllAreUsedAlikeAndTheirNumberWhenOneIs) {
  const Tensor each = at::eye(4).mul(50).repeat({3, 1});  // a token for each expert
  EXPECT_NEAR(balance_loss(each, each.argmax(-1, true)).item<double>(), 1, 1e-6);
  const Tensor one = each.narrow(0, 0, 1).repeat({5, 1});
  EXPECT_NEAR(balance_loss(one, one.argmax(-1, true)).item<double>(), 4, 1e-6);
  const Tensor even = at::zeros({8, 4});
  EXPECT_NEAR(balance_loss(even, std::get<1>(even.topk(2, -1))).item<double>(), 1, 1e-6);
}

TEST(Balance, ItsGradientIsThatOfTheSumOfBothLosses) {
  for (const int64_t top_k : {1, 2}) {
    AdapterLayer moe;
    make_f64_mixture(top_k, moe);
    const Tensor x = at::randn({2, 5, 8}, at::kDouble).requires_grad_(true);
    const Tensor y = at::randn({2, 5, 6}, at::kDouble), target = at::randn({2, 5, 6}, at::kDouble);
    constexpr double kWeight = 0.7;
    const auto value = [&] {  // of the sum, term and all
      const Tensor logits = at::linear(x, moe.route);
      const Tensor indices = std::get<1>(at::topk(logits, top_k, -1));
      return at::mse_loss(moe.add_to(y, x), target) + kWeight * balance_loss(logits, indices);
    };
    moe.balance_weight = kWeight;
    const Tensor out = moe.add_to(y, x);
    at::mse_loss(out, target).backward();
    moe.balance_weight = 0;
    EXPECT_TRUE(golden::equal(moe.add_to(y, x), out));
    std::vector<Tensor> leaves = {x, moe.route, moe.a[0], moe.b[1]};
    const at::NoGradGuard no_grad;
    for (size_t l = 0; l < leaves.size(); ++l) {
      Tensor flat = leaves[l].view(-1);
      const Tensor grad = leaves[l].grad().reshape(-1);
      for (int64_t i = 0; i < flat.numel(); i += 3) {
        constexpr double kStep = 1e-6;
        const double at = flat[i].item<double>();
        flat[i] = at + kStep;
        const double above = value().item<double>();
        flat[i] = at - kStep;
        const double below = value().item<double>();
        flat[i] = at;
        EXPECT_NEAR(grad[i].item<double>(), (above - below) / (2 * kStep), 1e-7)
            << "leaf " << l << " element " << i << " top_k " << top_k;
      }
    }
  }
}

}  // namespace
}  // namespace icedit
