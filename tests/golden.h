#pragma once
// Reference tensors from tests/goldens/data and how close ours must come. Header only: each
// folder's tests are one binary.
#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

#include "base/str.h"
#include "base/tensor.h"
#include "io/files.h"
#include "nn/weights.h"

namespace icedit::golden {

using Tensors = std::map<std::string, Tensor>;

// What tests/goldens/README.md allows in f32: |a - b| / max |reference|.
namespace tolerance {
inline constexpr double kText = 1e-5;
inline constexpr double kVae = 2e-5;
inline constexpr double kTransformer = 1e-5;
inline constexpr double kRope = 2e-6;
inline constexpr double kTimestepEmbedding = 2e-6;
inline constexpr double kLora = 1e-5;
inline constexpr double kMoe = 5e-6;
inline constexpr double kPipeline = 1e-3;
inline constexpr double kGgufT5 = 1e-5;
inline constexpr double kGgufQ4 = 5e-6;
inline constexpr double kGgufQ8 = 1e-5;
inline constexpr double kFirstStep = 2e-5;
inline constexpr double kMore = 2e-5;  // more/: models of other shapes

// Of randn. libtorch's vectorised and its plain Box-Muller differ in the angle 2 pi u, where a
// constant and a product are rounded in f32: 2 pi * 2 * 2^-24 = 7.5e-7. CPUs without AVX2 have the
// plain one, all others the same bits.
inline double noise() {
  return at::get_cpu_capability() == "DEFAULT" ? 1e-6 : 0;
}

// Of a whole forward that computes in `dtype`, where its f32 tolerance is `f32`.
inline double of(at::ScalarType dtype, double f32) {
  switch (dtype) {
    case at::kDouble:
    case at::kFloat:
      return f32;
    case at::kHalf:
      return 5e-3;
    case at::kBFloat16:
      return 2e-2;
    default:
      return 0.0;  // integers are exact
  }
}
}  // namespace tolerance

// A file below tests/goldens/data.
inline Path path(const std::string& relative) {
  return Path(ICEDIT_GOLDENS) / relative;
}

inline Tensors load(const std::string& relative) {
  Tensors tensors;
  for (auto& [name, tensor] : load_tensors(path(relative))) tensors.emplace(name, tensor);
  return tensors;
}

inline Tensor get(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found != tensors.end()) return found->second;
  std::string names;
  for (const auto& [other, tensor] : tensors) names += " " + other;
  throw std::out_of_range(str("no golden tensor '", name, "'; there are:", names));
}

// [2, 0, 5] of element `flat` in row-major order.
inline std::string index_text(const Tensor& tensor, int64_t flat) {
  std::vector<int64_t> index(tensor.dim());
  for (int64_t d = tensor.dim() - 1; d >= 0; --d) {
    index[d] = flat % tensor.size(d);
    flat /= tensor.size(d);
  }
  return str(index);
}

// |got - want| <= relative_tolerance * max |want|, everywhere; shapes must agree, dtypes need not.
inline ::testing::AssertionResult close(const Tensor& got, const Tensor& want,
                                        double relative_tolerance) {
  if (!got.defined() || !want.defined()) return ::testing::AssertionFailure() << "undefined tensor";
  if (got.sizes() != want.sizes()) {
    return ::testing::AssertionFailure()
           << "got shape " << got.sizes() << ", want " << want.sizes();
  }
  if (want.numel() == 0) return ::testing::AssertionSuccess();
  const Tensor g = got.detach().to(at::kCPU, at::kDouble).contiguous();
  const Tensor w = want.detach().to(at::kCPU, at::kDouble).contiguous();
  const Tensor distance = (g - w).abs().nan_to_num(INFINITY).flatten();
  const double scale = w.abs().max().item<double>();
  const int64_t worst = distance.argmax().item<int64_t>();
  const double error = distance[worst].item<double>();
  if (error <= relative_tolerance * scale) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "max abs " << error << " (relative " << error / scale << ", allowed "
         << relative_tolerance << ") at " << index_text(w, worst) << ": got "
         << g.flatten()[worst].item<double>() << ", want " << w.flatten()[worst].item<double>();
}

// The same shape and the same values, NaN equal to NaN.
inline ::testing::AssertionResult equal(const Tensor& got, const Tensor& want) {
  if (!got.defined() || !want.defined()) return ::testing::AssertionFailure() << "undefined tensor";
  if (got.sizes() != want.sizes()) {
    return ::testing::AssertionFailure()
           << "got shape " << got.sizes() << ", want " << want.sizes();
  }
  if (want.numel() == 0) return ::testing::AssertionSuccess();
  const Tensor g = got.detach().to(at::kCPU, at::kDouble).contiguous().flatten();
  const Tensor w = want.detach().to(at::kCPU, at::kDouble).contiguous().flatten();
  const Tensor wrong = (g != w).logical_and((g == g).logical_or(w == w));
  const int64_t count = wrong.sum().item<int64_t>();
  if (count == 0) return ::testing::AssertionSuccess();
  const int64_t first = wrong.to(at::kByte).argmax().item<int64_t>();
  return ::testing::AssertionFailure()
         << count << " of " << w.numel() << " differ, max abs "
         << (g - w).abs().nan_to_num(INFINITY).max().item<double>() << ", the first at "
         << index_text(want, first) << ": got " << g[first].item<double>() << ", want "
         << w[first].item<double>();
}

}  // namespace icedit::golden
