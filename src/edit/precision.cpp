#include "edit/precision.h"

#include <ATen/ATen.h>

#include <map>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"

namespace icedit {

// CPUs with AMX have AVX-512 BF16 too.
bool cpu_has_bf16_products() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

const Choices<Quant>& quants() {
  static const Choices<Quant> all = {
      {"none", Quant::kNone}, {"int8", Quant::kInt8}, {"int4", Quant::kInt4}};
  return all;
}

std::string quant_name(Quant quant) {
  return name_of(quants(), quant);
}

Dtype stored_dtype(const Checkpoint& checkpoint) {
  std::map<Dtype, uint64_t> bytes;
  for (const auto& [name, entry] : checkpoint.entries())
    bytes[entry.info.dtype] += entry.info.bytes();
  Dtype most = Dtype::kF32;
  for (const auto& [dtype, size] : bytes) {
    if (size > bytes[most]) most = dtype;
  }
  return most;
}

Precision choose_precision(DtypeChoice choice, const std::string& model_dtype, Dtype stored,
                           at::Device device) {
  const Precision f32{at::kFloat, at::kFloat}, bf16{at::kBFloat16, at::kBFloat16};
  const bool fast_bf16 = !device.is_cpu() || cpu_has_bf16_products();
  switch (choice) {
    case DtypeChoice::kF32:
      return f32;
    case DtypeChoice::kBF16:
      if (!fast_bf16) {
        log::warn(
            "--dtype bf16: this CPU has no bf16 products (avx512_bf16 or AMX), so this will be "
            "very slow; "
            "--dtype auto keeps the weights in half precision and computes in f32");
      }
      return bf16;
    case DtypeChoice::kAuto:
      break;
  }
  if (model_dtype == "float32") return f32;
  if (model_dtype.empty() && (stored == Dtype::kF32 || stored == Dtype::kF64)) return f32;
  if (fast_bf16) return bf16;
  return {
      at::kFloat,
      at::kBFloat16};  // half precision to store, f32 to compute, the draws of diffusers' bf16 run
}

uint64_t bytes_in(const Checkpoint& checkpoint, at::ScalarType compute) {
  uint64_t elements = 0;
  for (const auto& [name, entry] : checkpoint.entries()) elements += entry.info.numel();
  return elements * at::elementSize(compute);
}

bool keep_as_stored(const Checkpoint& checkpoint, at::ScalarType compute, at::Device device) {
  const uint64_t converted = bytes_in(checkpoint, compute);
  if (checkpoint.total_bytes() >= converted) return false;
  return !device.is_cpu() || converted > available_memory_bytes() / 3;
}

}  // namespace icedit
