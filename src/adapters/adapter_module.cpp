#include "adapters/adapter_module.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace icedit {
namespace {

// f(role, expert, tensor) for each, as files have them in turn.
template <class Module, class F>
void each_tensor(Module& module, const F& f) {
  for (size_t e = 0; e < module.a.size(); ++e) {
    const int64_t expert = module.has_router() ? int64_t(e) : -1;
    f(AdapterRole::kDown, expert, module.a[e]);
    f(AdapterRole::kUp, expert, module.b[e]);
  }
  if (module.has_router()) f(AdapterRole::kRoute, -1, module.route);
}

}  // namespace

double AdapterModule::scaling() const {
  return alpha / (rslora ? std::sqrt(double(rank())) : double(rank()));
}

Tensor AdapterModule::delta(double factor) const {
  const at::NoGradGuard no_grad;
  return at::mm(b.at(0).to(at::kFloat), a.at(0).to(at::kFloat)).mul_(factor);
}

double AdapterModule::delta_norm() const {
  double squares = 0;
  for (size_t e = 0; e < a.size(); ++e) squares += std::pow(product_norm(a[e], b[e]), 2);
  return std::sqrt(squares / double(a.size())) * std::abs(scaling());
}

std::vector<std::pair<std::string, Tensor>> tensors_of(const std::vector<AdapterModule>& modules,
                                                       AdapterLayout layout) {
  std::vector<std::pair<std::string, Tensor>> named;
  for (const AdapterModule& module : modules) {
    each_tensor(module, [&](AdapterRole role, int64_t expert, const Tensor& tensor) {
      named.emplace_back(adapter_key(layout, module.module, role, expert), tensor);
    });
  }
  return named;
}

void replace_tensors(AdapterModule& module,
                     const std::function<Tensor(const std::string&, const Tensor&)>& f) {
  each_tensor(module, [&](AdapterRole role, int64_t expert, Tensor& tensor) {
    tensor = f(adapter_key(AdapterLayout::kDiffusers, module.module, role, expert), tensor);
  });
}

double product_norm(const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  // ||BA||^2 = tr(A^T B^T B A) = sum of (B^T B) * (A A^T)
  const Tensor wide_a = a.to(at::kCPU, at::kDouble), wide_b = b.to(at::kCPU, at::kDouble);
  const Tensor square = (at::mm(wide_b.t(), wide_b) * at::mm(wide_a, wide_a.t())).sum();
  return std::sqrt(std::max(0.0, square.item<double>()));
}

}  // namespace icedit
