#pragma once
// Ranks on CPUs, over TCP.
#include <memory>

#include "dist/group.h"

namespace icedit {

std::unique_ptr<Group> make_gloo_group(const LaunchEnv& env, const GroupOptions& options);

}  // namespace icedit
