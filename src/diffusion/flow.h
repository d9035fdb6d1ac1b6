#pragma once
// Rectified flow: x_t = (1 - t) x_0 + t x_1 from data x_0 to noise x_1; the model predicts v = x_1
// - x_0.
#include <vector>

#include "base/tensor.h"

namespace icedit {

// t [B] broadcasts over x [B, ...].
Tensor add_noise(const Tensor& x_0, const Tensor& x_1, const Tensor& t);

// x + (sigma_next - sigma) v, summed in f32 and returned in v's dtype. sigma: 0-dimensional f32
// tensors.
Tensor euler_step(const Tensor& x, const Tensor& v, const Tensor& sigma, const Tensor& sigma_next);

// Of a tensor [n] on any device.
std::vector<double> as_doubles(const Tensor& sigmas);

}  // namespace icedit
