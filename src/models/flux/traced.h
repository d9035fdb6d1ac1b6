#pragma once
#include "models/flux/transformer.h"
#include "nn/trace.h"

namespace icedit {

// model.forward(in); `trace` keeps its intermediates by diffusers' names, in the order in which
// they are computed.
Tensor traced_forward(const FluxTransformer& model, const FluxInputs& in, Trace& trace);

}  // namespace icedit
