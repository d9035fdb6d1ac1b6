// Every optimizer against the Python that it equals, on the goldens' least-squares problem.
#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden.h"

namespace icedit {
namespace {

using nlohmann::json;

constexpr int kSteps = 60;

OptimizerConfig config_of(const std::string& name, const json& settings) {
  OptimizerConfig config;
  config.type = name.starts_with("prodigy") ? "Prodigy"
                : name.starts_with("adamw") ? "AdamW"
                                            : "SGD";
  for (const auto& [key, value] : settings.items()) {
    if (value.is_boolean())
      config.params[key] = value.get<bool>();
    else if (value.is_array())
      config.params[key] = value.get<std::vector<double>>();
    else
      config.params[key] = value.get<double>();
  }
  return config;
}

json all_settings() {
  std::ifstream file(golden::path("optimizer/least_squares.json"));
  return json::parse(file);
}

// mean((tanh(x a^T) b^T + c - y)^2); `unused` never has a gradient.
class LeastSquares {
 public:
  explicit LeastSquares(const golden::Tensors& goldens)
      : x_(golden::get(goldens, "x")), y_(golden::get(goldens, "y")) {
    for (const char* name : {"a", "b", "c", "unused"}) {
      Tensor p = golden::get(goldens, str("init.", name)).clone();
      parameters_.emplace_back(name, p.set_requires_grad(true));
    }
  }

  const NamedTensors& parameters() const { return parameters_; }
  const Tensor& parameter(size_t i) const { return parameters_[i].second; }

  double backward() const {
    const Tensor hidden = at::tanh(at::matmul(x_, parameter(0).t()));
    const Tensor out = at::matmul(hidden, parameter(1).t()) + parameter(2);
    const Tensor loss = (out - y_).pow(2).mean();
    loss.backward();
    return loss.item<double>();
  }

  double step(Optimizer& optimizer) const {
    optimizer.zero_grad();
    const double loss = backward();
    optimizer.step();
    return loss;
  }

 private:
  Tensor x_, y_;
  NamedTensors parameters_;
};

// What the README allows after step 5: ten times the case's distance under jittered gradients, at
// least 5e-6.
double late_tolerance(const std::string& name) {
  const std::map<std::string, double> jitter = {{"prodigy_betas", 1.9e-3},
                                                {"prodigy_d_coef", 4.8e-6},
                                                {"prodigy_no_bias_correction", 3.8e-3},
                                                {"prodigy_no_momentum", 5.2e-5},
                                                {"prodigy_no_safeguard", 4.6e-5},
                                                {"prodigy_plain", 3.6e-2}};
  const auto found = jitter.find(name);
  return std::max(5e-6, found == jitter.end() ? 0.0 : 10 * found->second);
}

class GoldenOptimizer : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenOptimizer, StaysWithThePythonOne) {
  const std::string name = GetParam();
  const golden::Tensors goldens = golden::load("optimizer/least_squares.safetensors");
  const LeastSquares problem(goldens);
  const auto optimizer =
      make_optimizer(config_of(name, all_settings().at(name)), problem.parameters());

  std::map<std::string, std::vector<double>> logs;
  for (int step = 1; step <= kSteps; ++step) {
    logs["loss"].push_back(problem.step(*optimizer));
    if (optimizer->type() == "Prodigy")
      for (const char* key : {"d", "d_hat", "d_numerator", "d_denom"})
        logs[key].push_back(optimizer->state().scalars.at(key));
    if (step != 1 && step != 2 && step != 5 && step != kSteps) continue;
    for (const auto& [parameter, tensor] : problem.parameters())
      EXPECT_TRUE(golden::close(tensor,
                                golden::get(goldens, str(name, ".step", step, ".", parameter)),
                                step <= 5 ? 5e-6 : late_tolerance(name)))
          << name << " step " << step << " " << parameter;
  }
  for (const auto& [key, values] : logs) {
    const Tensor want = golden::get(goldens, name + "." + key);
    const Tensor got = at::tensor(values, at::kDouble);
    EXPECT_TRUE(golden::close(got.slice(0, 0, 5), want.slice(0, 0, 5), 5e-6)) << name << " " << key;
    EXPECT_TRUE(golden::close(got, want, late_tolerance(name))) << name << " " << key;
  }
  EXPECT_TRUE(golden::equal(problem.parameter(3), golden::get(goldens, "init.unused")));
}

// Once in memory, once through a file: a run that stops after 23 steps goes on as if it had not.
TEST_P(GoldenOptimizer, GoesOnFromItsStateBitForBit) {
  const golden::Tensors goldens = golden::load("optimizer/least_squares.safetensors");
  const OptimizerConfig config = config_of(GetParam(), all_settings().at(GetParam()));
  const LeastSquares whole(goldens), stopped(goldens), resumed(goldens);
  const auto through = make_optimizer(config, whole.parameters());
  for (int step = 0; step < 40; ++step) whole.step(*through);

  const auto first = make_optimizer(config, stopped.parameters());
  for (int step = 0; step < 23; ++step) stopped.step(*first);
  const OptimizerState state = first->state();
  const Path file = std::filesystem::temp_directory_path() / str("icedit_optimizer_", ::getpid());
  save_tensors(file, state.tensors);
  const OptimizerState read = {load_tensors(file), state.scalars};
  std::filesystem::remove(file);

  const auto second = make_optimizer(config, resumed.parameters());
  second->load(read);
  for (size_t i = 0; i < 4; ++i) {
    const c10::NoGradGuard no_grad;
    Tensor(resumed.parameter(i)).copy_(stopped.parameter(i));
  }
  for (int step = 0; step < 17; ++step) resumed.step(*second);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_TRUE(golden::equal(resumed.parameter(i), whole.parameter(i))) << i;
  EXPECT_EQ(second->state().scalars, through->state().scalars);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenOptimizer,
                         ::testing::Values("prodigy", "prodigy_plain", "prodigy_no_safeguard",
                                           "prodigy_no_bias_correction", "prodigy_coupled",
                                           "prodigy_growth", "prodigy_d_coef", "prodigy_lr_half",
                                           "prodigy_betas", "prodigy_no_momentum", "prodigy_slice",
                                           "adamw", "adamw_amsgrad", "sgd", "sgd_momentum"),
                         [](const auto& info) { return info.param; });

TEST(Optimizer, GoldenCasesAreAllTested) {
  EXPECT_EQ(all_settings().size(), 15u);
}

NamedTensors one_parameter(const Shape& shape = {3, 2}, at::ScalarType type = at::kFloat) {
  return {{"w", at::ones(shape, type).set_requires_grad(true)}};
}

template <class E>
std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

TEST(Optimizer, WrongSettingsAreNamed) {
  const auto make = [](const std::string& type, const std::string& key,
                       const OptimizerParam& value) {
    return message<UsageError>([&] { make_optimizer({type, {{key, value}}}, one_parameter()); });
  };
  EXPECT_EQ(make("Adagrad", "lr", 1.0),
            "train.optimizer.type is 'Adagrad', expected Prodigy, AdamW or SGD");
  EXPECT_EQ(make("Prodigy", "lr", 0.0),
            "train.optimizer.params.lr is 0, expected a number above 0; 1 is Prodigy's own");
  EXPECT_NE(
      make("Prodigy", "learning_rate", 1.0).find("learning_rate is unknown; Prodigy has [lr, "),
      std::string::npos);
  EXPECT_EQ(make("Prodigy", "safeguard_warmup", 1.0),
            "train.optimizer.params.safeguard_warmup: expected true or false");
  EXPECT_EQ(make("AdamW", "betas", 0.9),
            "train.optimizer.params.betas: expected two numbers, as in [0.9, 0.999]");
  EXPECT_EQ(make("AdamW", "betas", std::vector<double>{0.9, 1.0}),
            "train.optimizer.params.betas[1] is 1, expected 0 to below 1");
  EXPECT_EQ(make("SGD", "nesterov", true),
            "train.optimizer.params.momentum is 0, expected a number above 0 with nesterov");
  EXPECT_NE(make("Prodigy", "slice_p", 1.5), "");
  EXPECT_NE(make("Prodigy", "lr", std::nan("")), "");
  EXPECT_EQ(make("Prodigy", "beta3", std::monostate{}), "");  // null: the default
}

TEST(Optimizer, WrongParametersAreNamed) {
  const auto make = [](NamedTensors parameters) {
    return message<UsageError>([&] { make_optimizer({}, std::move(parameters)); });
  };
  EXPECT_NE(make({}).find("no parameter"), std::string::npos);
  EXPECT_NE(make({{"w", at::ones({2})}}).find("'w', which can have no gradient"),
            std::string::npos);
  NamedTensors twice = one_parameter();
  twice.push_back(twice.front());
  EXPECT_NE(make(twice).find("'w' twice"), std::string::npos);
}

TEST(Optimizer, StatesThatDoNotFitAreRefusedAndChangeNothing) {
  const auto stepped = [](const OptimizerConfig& config, const NamedTensors& parameters) {
    auto optimizer = make_optimizer(config, parameters);
    parameters[0].second.sum().backward();
    optimizer->step();
    return optimizer;
  };
  const OptimizerConfig adamw{"AdamW", {}};
  const auto optimizer = stepped(adamw, one_parameter());
  const OptimizerState good = optimizer->state();
  const auto load = [&](OptimizerState state) {
    return message<CheckpointError>([&] { optimizer->load(state); });
  };
  EXPECT_NE(load(stepped({}, one_parameter())->state()), "");  // Prodigy's
  EXPECT_NE(load(stepped({"AdamW", {{"amsgrad", true}}}, one_parameter())->state()), "");  // more
  EXPECT_NE(load(stepped(adamw, one_parameter({2, 3}))->state()).find("[2, 3]"), std::string::npos);
  EXPECT_NE(load(stepped(adamw, one_parameter({3, 2}, at::kDouble))->state()).find("Double"),
            std::string::npos);
  OptimizerState less = good;
  less.tensors.pop_back();
  EXPECT_NE(load(less).find("lacks 'w.exp_avg"), std::string::npos);
  less = good;
  less.scalars.erase("lr");
  EXPECT_NE(load(less).find("lacks 'lr'"), std::string::npos);
  OptimizerState other = good;
  other.tensors.emplace_back("v.exp_avg", at::ones({1}));
  EXPECT_NE(load(other), "");
  EXPECT_EQ(optimizer->state().scalars, good.scalars);
  EXPECT_EQ(load(good), "");
}

// A rate of 0 (a warm-up's first step) and a gradient that is zero are no steps, as published.
TEST(Prodigy, WithoutProgressThereIsNoStep) {
  const NamedTensors parameters = one_parameter();
  const auto optimizer = make_optimizer({}, parameters);
  optimizer->step();  // no gradient at all
  parameters[0].second.mutable_grad() = at::zeros({3, 2});
  optimizer->step();
  optimizer->set_lr(0);
  parameters[0].second.mutable_grad() = at::ones({3, 2});
  optimizer->step();
  EXPECT_EQ(optimizer->state().scalars.at("k"), 0);
  EXPECT_TRUE(golden::equal(parameters[0].second, at::ones({3, 2})));
  optimizer->set_lr(1);
  optimizer->step();
  EXPECT_EQ(optimizer->state().scalars.at("k"), 1);
}

TEST(Prodigy, AZeroTensorIsRememberedAsOneNumber) {
  NamedTensors parameters = {{"b", at::zeros({4, 5}).set_requires_grad(true)}};
  const auto optimizer = make_optimizer({}, parameters);
  parameters[0].second.mutable_grad() = at::ones({4, 5});
  optimizer->step();
  for (const auto& [name, tensor] : optimizer->state().tensors) {
    EXPECT_EQ(tensor.dim() == 0, name == "b.p0") << name;
  }
}

TEST(Optimizer, MaximizeGoesTheOtherWay) {
  for (const char* type : {"AdamW", "SGD"}) {
    const NamedTensors parameters = one_parameter();
    const auto optimizer =
        make_optimizer({type, {{"maximize", true}, {"weight_decay", 0.0}}}, parameters);
    parameters[0].second.sum().backward();
    optimizer->step();
    EXPECT_TRUE((parameters[0].second > 1).all().item<bool>()) << type;
  }
}

}  // namespace
}  // namespace icedit
