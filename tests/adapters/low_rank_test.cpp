// Adapters that a product adds in its own pass, against the same added one by one.
#include <c10/core/InferenceMode.h>

#include "adapters/adapter_layer.h"
#include "nn/kernels/bf16_product.h"
#include "nn/kernels/int8_product.h"
#include "nn/named_tensors.h"
#include "nn/observer.h"
#include "tiny_model.h"

namespace icedit {
namespace {

constexpr int64_t kIn = 512, kOut = 96, kRank = 8, kTokens = 70;

Tensor bf16(const Shape& shape) {
  return at::randn(shape).to(at::kBFloat16);
}

std::shared_ptr<AdapterLayer> adapter(int64_t experts, int64_t rank = kRank) {
  auto made = std::make_shared<AdapterLayer>();
  for (int64_t e = 0; e < experts; ++e) {
    made->a.push_back(bf16({rank, kIn}) / 8);
    made->b.push_back(bf16({kOut, rank}));
  }
  if (experts > 1) made->route = bf16({experts, kIn});
  made->alpha = 4;
  made->scale = std::make_shared<double>(1.0);
  return made;
}

class LowRankAdapters : public ::testing::TestWithParam<Quant> {
 protected:
  void SetUp() override {
    at::manual_seed(7);
    const Path file = folder_.path() / "model.safetensors";
    save_tensors(file, {{"layer.weight", bf16({kOut, kIn})}, {"layer.bias", bf16({kOut})}});
    LoadOptions options;
    options.compute = at::kBFloat16;
    options.quant = GetParam();
    options.quantises = [](const std::string&) { return true; };
    linear_.emplace(Weights(Checkpoint::open(file), options) / "layer", kIn, kOut);
    bare_ = (*linear_)(x_);
  }

  static bool adds() {
    return GetParam() == Quant::kNone ? kernels::multiplies_bf16(bf16({32, 32}))
                                      : kernels::adds_low_rank();
  }
  void attach(const std::vector<std::shared_ptr<AdapterLayer>>& adapters) {
    for (const auto& layer : adapters) linear_->attach(layer);
  }
  // How far the change is from that of the formula, which rounds y after each adapter.
  double off(const std::vector<std::shared_ptr<AdapterLayer>>& adapters) const {
    Tensor y = bare_.to(at::kFloat);
    for (const auto& layer : adapters) y = layer->add_to(y, x_.to(at::kFloat));
    return relative((*linear_)(x_).to(at::kFloat) - bare_, y - bare_);
  }

  const c10::InferenceMode no_grad_;
  TemporaryFolder folder_;
  std::optional<Linear> linear_;
  Tensor x_ = bf16({1, kTokens, kIn}), bare_;
};

TEST_P(LowRankAdapters, AreAddedByTheFormula) {
  const auto a = adapter(1), b = adapter(1), mixture = adapter(4);
  *std::const_pointer_cast<double>(b->scale) = -0.75;
  attach({a, b, mixture});
  EXPECT_LT(off({a, b, mixture}), 0.03);
  *std::const_pointer_cast<double>(b->scale) = 2;  // at the next use
  EXPECT_LT(off({a, b, mixture}), 0.03);
  EXPECT_GT(off({a, mixture}), 0.3);
}

// Logits of x in 8 bits send a few tokens, for which two experts are next to equal, elsewhere.
TEST_P(LowRankAdapters, AMixtureAddsTheExpertsThatWerePicked) {
  for (const int64_t top_k : {1, 2, 4}) {
    const auto mixture = adapter(4);
    mixture->top_k = top_k;
    attach({mixture});
    const Tensor y = mixture->add_to(bare_.to(at::kFloat), x_.to(at::kFloat));
    const Tensor change = y - bare_, made = (*linear_)(x_).to(at::kFloat) - bare_;
    const Tensor off = (made - change).norm(2, -1) / change.norm(2, -1);  // of each token
    EXPECT_GE(off.lt(0.06).sum().item<int64_t>(), kTokens - 2) << top_k;
    linear_->detach(mixture.get());
  }
}

TEST_P(LowRankAdapters, AnExpertThatNobodyPickedIsNotComputed) {
  x_.select(-1, 0).fill_(8);
  const auto with = [&](float unused) {
    at::manual_seed(8);
    const auto mixture = adapter(3, 32);
    mixture->route[1].zero_();
    mixture->route[1][0] = -1000;
    mixture->a[1].fill_(unused);
    mixture->b[1].fill_(unused);
    attach({mixture});
    const Tensor y = (*linear_)(x_);
    linear_->detach(mixture.get());
    return y;
  };
  EXPECT_TRUE(golden::equal(with(NAN), with(1)));
}

TEST_P(LowRankAdapters, OneThatIsSwitchedOffChangesNothing) {
  const auto a = adapter(1), off = adapter(4);
  attach({a});
  const Tensor alone = (*linear_)(x_);
  attach({off});
  *std::const_pointer_cast<double>(off->scale) = 0;
  EXPECT_TRUE(golden::equal((*linear_)(x_), alone));
  *std::const_pointer_cast<double>(a->scale) = 0;
  EXPECT_TRUE(golden::equal((*linear_)(x_), bare_));
}

TEST_P(LowRankAdapters, WhereSomebodyLooksTheyAreAddedOneByOne) {
  const auto mixture = adapter(4);
  attach({mixture});
  const Tensor fast = (*linear_)(x_), plain = mixture->add_to(bare_.clone(), x_);
  EXPECT_EQ(golden::equal(fast, plain), !adds());
  {
    const LayerObserver observer([](const auto&, const Tensor&, const Tensor&) {});
    EXPECT_TRUE(golden::equal((*linear_)(x_), plain));
  }
  int64_t routed = 0;
  mixture->on_route = [&](const MoeRouting& r) { routed += r.indices.numel(); };
  EXPECT_TRUE(golden::equal((*linear_)(x_), plain));
  EXPECT_EQ(routed, kTokens);
}

TEST_P(LowRankAdapters, OnesThatAreTrainedAreReadAnewAtEachUse) {
  const auto a = adapter(1);
  a->b[0].requires_grad_(true);
  attach({a});
  const Tensor before = (*linear_)(x_);
  a->b[0].add_(1.0);
  EXPECT_FALSE(golden::equal((*linear_)(x_), before));
}

INSTANTIATE_TEST_SUITE_P(Bases, LowRankAdapters, ::testing::Values(Quant::kNone, Quant::kInt8),
                         [](const auto& i) { return i.param == Quant::kNone ? "bf16" : "int8"; });

}  // namespace
}  // namespace icedit
