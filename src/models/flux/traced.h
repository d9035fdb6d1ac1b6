#pragma once
#include "models/flux/transformer.h"
#include "nn/trace.h"

namespace icedit {

// model.forward; `trace` keeps its intermediates by diffusers' names, in the order in which they
// are computed.
Tensor traced_forward(const FluxTransformer& model, const Tensor& x,
                      const Conditioning& conditioning, const Tensor& t, const Tensor& guidance,
                      Trace& trace);

}  // namespace icedit
