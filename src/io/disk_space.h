#pragma once
// Whether there is room for what is to be written.
#include "io/files.h"

namespace icedit {

// On the file system that holds `path`, or its nearest parent that exists. One that does not tell
// (some network mounts say 0 of 0) may have any: the writing will say so.
uint64_t free_disk_bytes(const Path& path);

// Throws IoError: fewer than `needed` bytes are free there; `remedy` ends the sentence.
void expect_free_space(const Path& path, uint64_t needed, const std::string& remedy);

}  // namespace icedit
