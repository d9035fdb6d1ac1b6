#include "nn/conv.h"

#include <ATen/ATen.h>

namespace icedit {

Conv2d::Conv2d(const Weights& w, int64_t in, int64_t out, int64_t kernel, int64_t stride,
               int64_t padding)
    : weight(w.tensor("weight", {out, in, kernel, kernel}, at::MemoryFormat::ChannelsLast)),
      bias(w.tensor("bias", {out})),
      stride(stride),
      padding(padding) {}

Tensor Conv2d::operator()(const Tensor& x) const {
  return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding});
}

}  // namespace icedit
