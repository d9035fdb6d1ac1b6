#pragma once
// What of a model stays in memory for edits of some size, fixed before weights are loaded.
#include <cstdint>
#include <optional>
#include <string>

#include "edit/memory_estimate.h"

namespace icedit {

struct MemoryLimit {
  bool low_memory = false;       // one component at a time
  std::optional<uint64_t> most;  // bytes of the whole process, mapped pages of files too
  std::optional<uint64_t> vram;  // of the memory of another device than the CPU, without its own

  bool any() const { return most || vram; }
};

// The next limit from `least` bytes on that is short to write, as a flag takes it: whole MiB
// ("517M"), from 10 GiB on tenths of a GiB ("12.3G").
struct PlainLimit {
  uint64_t bytes = 0;
  std::string text;
};
PlainLimit plain_limit(uint64_t least);

// Sets Keep and, where the limit asks for it, StreamedParts: the more of the transformer's blocks
// stay the better, spread evenly, so that each that does not is read while others are computed.
// Throws UsageError where nothing keeps within the limit, with the least that would, and where the
// limit is of a memory that the residency's device does not compute in.
void plan_memory(Residency& residency, const MemoryLimit& limit, bool several_pictures,
                 const EditSize& size, uint64_t own = kProgramAtMost);

// What process_bytes is with as little in memory as can be: one block at a time. Sets the residency
// to that.
uint64_t least_bytes(Residency& residency, const EditSize& size, uint64_t own = kProgramAtMost);

}  // namespace icedit
