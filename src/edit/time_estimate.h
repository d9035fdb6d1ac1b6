#pragma once
// How long an edit will take on this CPU: one of the model's own blocks and its VAE are computed on
// random inputs, the rest is counted.
#include <cstdint>
#include <functional>

#include "edit/memory_estimate.h"

namespace icedit {

// Throws UsageError where times cannot be measured: on another device, whose work goes on after its
// call, and of a transformer without single blocks.
void expect_measurable(const Residency& residency);
double seconds_of(const std::function<void()>& work);

// Of the transformer's first single block, as the residency would hold it. Seconds.
struct BlockTime {
  double load = 0;     // from the file's bytes, in memory, to what is computed with
  double forward = 0;  // at the edit's size
  double flops = 0;    // that it computes a second, of products and attention
};

// Takes about `most_seconds` at most, of a slow product less: then fewer tokens are computed. Reads
// the block's bytes from the files. Throws UsageError on other devices than the CPU.
BlockTime measure_block(const Residency& residency, const EditSize& size, double most_seconds);

// Of the VAE, of the whole diptych. Seconds.
struct PictureTime {
  double load = 0, encode = 0, decode = 0;
};
// Of a small square; half a second of each.
PictureTime measure_vae(const Residency& residency, const EditSize& size, bool decodes = true);

// What the files that are not in the system's memory yet take to be read, once. Reads 64 MiB of
// them. Seconds.
double reading_seconds(const ModelFiles& files);

// That block's matrix with the most weights, loaded.
Linear widest_linear(const Residency& residency);

// A block's forward and backward pass, without an adapter, in seconds.
double training_seconds(const Residency& residency, const EditSize& size, double most_seconds);

struct EditTime {
  double text = 0, load = 0, modulations = 0;  // seconds
  double call = 0;                             // of the network
  int64_t calls = 0;

  double total() const { return text + load + modulations + call * double(calls); }
};

// Without the VAE. `dense_flops`: of a block that is not quantised, in the same dtype.
EditTime estimate_time(const Residency& residency, const EditSize& size, const BlockTime& block,
                       double dense_flops, int64_t calls);

}  // namespace icedit
