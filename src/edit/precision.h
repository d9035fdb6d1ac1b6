#pragma once
// In which dtype a model runs, and in which its weights lie in memory.
#include <cstdint>
#include <string>

#include "base/setting.h"
#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

enum class DtypeChoice { kAuto, kF32, kBF16 };

// Products with GGML's blocks: with f32 or bf16 made of some rows at a time, or with 8 bits.
enum class GgufCompute { kDequant, kInt8 };

// What the transformer's large matrices are held in, whatever they are stored in: "none", "int8".
std::string quant_name(Quant quant);
const Choices<Quant>& quants();  // by these names

struct Precision {
  at::ScalarType compute = at::kFloat;  // of activations
  at::ScalarType noise = at::kFloat;    // in which the noise is drawn: that of diffusers' run
};

// Whether the CPU multiplies bf16 matrices in hardware (AVX-512 BF16 or AMX). Without, libtorch's
// bf16 product is hundreds of times slower than its f32 one.
bool cpu_has_bf16_products();

// The dtype of most of a checkpoint's bytes.
Dtype stored_dtype(const Checkpoint& checkpoint);

// `model_dtype`: icedit.json's, "" for none; `stored`: the transformer's. Warns where bf16 is asked
// of a CPU without it.
Precision choose_precision(DtypeChoice choice, const std::string& model_dtype, Dtype stored,
                           at::Device device);

// Whether a component's matrices stay as stored (mapped) and are converted at each use: where a
// converted copy would take more than a third of the memory that is available; on another device
// than the CPU, whose memory is what there is least of, where the copy is the larger.
bool keep_as_stored(const Checkpoint& checkpoint, at::ScalarType compute, at::Device device);

// Bytes of the component's tensors once they are in `compute`.
uint64_t bytes_in(const Checkpoint& checkpoint, at::ScalarType compute);

}  // namespace icedit
