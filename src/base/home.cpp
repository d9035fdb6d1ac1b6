#include "base/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace icedit {
namespace {

std::string home() {
  if (const char* value = std::getenv("HOME"); value != nullptr && *value != '\0') return value;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

}  // namespace

std::string expand_home(const std::string& path) {
  return path == "~" || path.starts_with("~/") ? home() + path.substr(1) : path;
}

}  // namespace icedit
