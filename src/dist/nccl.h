#pragma once
// Ranks on GPUs. NCCL's side of c10d needs libtorch_cuda's symbols, which a program for CPUs must
// not need, so it comes as a plug-in, libicedit_nccl.so. UNMEASURED: it is compiled in a test,
// never run.
#include <memory>

#include "dist/group.h"

namespace icedit {

// Loads the plug-in from beside the program or lib/icedit. Throws ModelUnavailable where it is not
// there or does not load.
std::unique_ptr<Group> make_nccl_group(const LaunchEnv& env, const GroupOptions& options);

// What the plug-in exports.
using MakeNcclGroup = Group* (*)(const LaunchEnv& env, const GroupOptions& options);
constexpr const char* kNcclPlugin = "libicedit_nccl.so";
constexpr const char* kNcclSymbol = "icedit_make_nccl_group";

}  // namespace icedit
