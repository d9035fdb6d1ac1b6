#pragma once
// A table of vectors, one a row.
#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

class Embedding {
 public:
  // Loads "weight" [rows, columns] as it is stored (T5's table is 0.5 GB in f32): rows are
  // converted when they are looked up. An fp8 table may have one scale.
  Embedding(const Weights& w, int64_t rows, int64_t columns);

  Tensor operator()(
      const Tensor& ids) const;  // int64 [...], each in [0, rows) -> [..., columns], compute dtype

 private:
  Tensor weight_, scale_;
  at::ScalarType compute_;
};

}  // namespace icedit
