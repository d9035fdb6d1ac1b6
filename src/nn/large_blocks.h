#pragma once
// Memory of large tensors. malloc maps what is above 32 MiB anew each time and gives it back, and
// the system then clears every page of 4 KiB at its first use: of a denoising step at FLUX's widths
// that is a sixth.
#include <cstdint>
#include <limits>

namespace icedit {

constexpr uint64_t kEveryBlock = std::numeric_limits<uint64_t>::max();

// From now on CPU tensors of 4 MiB and more lie in huge pages where the system has them, and what
// such a tensor leaves is kept for the next one of about its size: up to `most` bytes in all, and
// never so much that kept and used memory are more than was used at once since the last release.
// What has lain longest goes first.
void keep_large_blocks(uint64_t most = uint64_t{512} << 20);

// Gives back what is kept, and what malloc keeps of smaller ones: where another part of the work
// begins, whose tensors have other sizes.
void release_large_blocks();

}  // namespace icedit
