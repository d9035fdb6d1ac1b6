#pragma once
// Whether something is at a path. A name that no file can have (too long, say) is simply not there;
// where a folder on the way may not be looked into, nobody knows, and both throw IoError.
#include "io/files.h"

namespace icedit {

bool is_there(const Path& path);
bool is_taken(const Path& path);  // the name: a link to nothing takes it too

}  // namespace icedit
