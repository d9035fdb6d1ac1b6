#pragma once
// A link to a folder beside it, like a run's `latest`. Where the file system knows no links, a file
// with the folder's name in it stands in for it.
#include <string>

#include "io/files.h"

namespace icedit {

// Makes or moves `link` in one operation, to the folder `name` beside it. Says once that it is a
// file. Throws IoError.
void link_folder(const Path& link, const std::string& name);

// The name of the folder; "": there is no such link.
std::string linked_folder(const Path& link);

// `path` where such files on the way are followed, as the system follows links.
Path through_folder_links(const Path& path);

}  // namespace icedit
