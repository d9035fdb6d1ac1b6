#pragma once
// Which kernels this CPU can run. ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA, which limit libtorch,
// limit ours as well, so that one machine can test the kernels of others.

namespace icedit::kernels {

bool has_avx512();  // F, VL, BW, DQ
bool has_avx512_bf16();
// Tiles of 8 bits and of bf16, and AVX-512 with bf16; and the system lends them to us.
bool has_amx();

}  // namespace icedit::kernels
