#pragma once
#include "io/files.h"

namespace icedit {

// Throws IoError: the file system of `path` has fewer than `needed` bytes free; `remedy` ends the
// sentence. One that does not tell (some network mounts say 0 of 0) may have room: the writing will
// say so.
void expect_free_space(const Path& path, uint64_t needed, const std::string& remedy);

}  // namespace icedit
