#include "nn/embedding.h"

#include <ATen/ATen.h>

#include "nn/fp8_scales.h"

namespace icedit {

Embedding::Embedding(const Weights& w, int64_t rows, int64_t columns)
    : weight_(w.stored("weight", {rows, columns}).to(w.options().device)),
      scale_(load_fp8_scale(w, /*rows=*/1)),
      compute_(w.options().compute) {
  if (!weight_.is_cpu()) w.entry("weight", {rows, columns}).release();
}

Tensor Embedding::operator()(const Tensor& ids) const {
  const Tensor index = ids.to(weight_.device()).flatten();
  // libtorch does not look rows up in fp8: they are looked up as bytes.
  const bool bytes = weight_.element_size() == 1;
  const Tensor rows = at::index_select(bytes ? weight_.view(at::kByte) : weight_, 0, index);
  Tensor vectors = (bytes ? rows.view(weight_.scalar_type()) : rows).to(compute_);
  if (scale_.defined()) vectors = vectors * scale_;
  Shape shape = ids.sizes().vec();
  shape.push_back(weight_.size(1));
  return vectors.view(shape);
}

}  // namespace icedit
