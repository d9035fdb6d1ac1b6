#include "diffusion/flow.h"

#include <ATen/ATen.h>

namespace icedit {

Tensor add_noise(const Tensor& x_0, const Tensor& x_1, const Tensor& t) {
  Shape shape(x_0.dim(), 1);
  shape[0] = t.size(0);
  const Tensor s = t.reshape(shape);
  return (1 - s) * x_0 + s * x_1;
}

Tensor euler_step(const Tensor& x, const Tensor& v, const Tensor& sigma, const Tensor& sigma_next) {
  return (x.to(at::kFloat) + (sigma_next - sigma) * v).to(v.scalar_type());
}

std::vector<double> as_doubles(const Tensor& sigmas) {
  const Tensor wide = sigmas.to(at::kCPU, at::kDouble).contiguous();
  const auto* values = wide.const_data_ptr<double>();
  return {values, values + wide.numel()};
}

}  // namespace icedit
