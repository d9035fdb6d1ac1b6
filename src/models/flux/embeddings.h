#pragma once
// Where and when: rotary tables from ids, sinusoids from the timestep, and the vector that
// modulates every block.
#include <string>
#include <vector>

#include "models/configs.h"
#include "nn/linear.h"

namespace icedit {

// Rotary tables of S positions, computed in f64 and held in f32.
struct Rope {
  Tensor cos, sin;  // [S, D], each value twice (interleaved pairs)
  Tensor turn;      // [S, 1, D/2] complex: cos + i sin, for pairs of every head
};

// ids [S, 3] (row index in column 1, column index in column 2, text rows all 0). Source: diffusers
// FluxPosEmbed.
Rope rotary_tables(const Tensor& ids, const std::vector<int64_t>& axes, double theta = 10000);

// x [B, S, H, D] turned by the tables in f32, returned in x's dtype.
Tensor apply_rotary(const Tensor& x, const Rope& rope);

// t [B] (already times 1000) -> [B, 256] f32, cosines first. Source: diffusers
// get_timestep_embedding, but f64 as in the tables above: an f32 exp's last bit hangs on the CPU,
// and times 50000 (guidance 50) it is 2e-3 of a sinusoid.
Tensor timestep_sinusoids(const Tensor& t, int64_t channels = 256);

// linear_2(silu(linear_1(x))).
struct EmbeddingMlp {
  EmbeddingMlp(const Weights& w, int64_t in, int64_t hidden);
  Tensor operator()(const Tensor& x) const;
  Linear linear_1, linear_2;
};

// vec = embed(t) + embed(guidance) + embed(pooled).
struct TimeTextEmbed {
  TimeTextEmbed(const Weights& w, const FluxConfig& c);
  // t, guidance [B] in the model's dtype, already times 1000; guidance undefined where the model
  // takes none; pooled [B, pooled_projection_dim] -> [B, C].
  Tensor operator()(const Tensor& t, const Tensor& guidance, const Tensor& pooled) const;

  std::string path;
  EmbeddingMlp timestep_embedder;
  std::vector<EmbeddingMlp> guidance_embedder;  // none or one
  EmbeddingMlp text_embedder;
};

}  // namespace icedit
