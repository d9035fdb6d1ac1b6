#pragma once
// A server from its start to its end.
#include "edit/memory_plan.h"
#include "server/options.h"

namespace icedit::server {

// Serves until SIGTERM or Ctrl+C, then drains; the calling thread is the worker's. Returns the exit
// code. `residency.adapters` are the options'.
int serve(const Options& options, ModelFiles files, ResidencyOptions residency,
          const MemoryLimit& memory);

}  // namespace icedit::server
