#include "dist/nccl.h"

#include <dlfcn.h>

#include <filesystem>

namespace icedit {
namespace {

constexpr const char* kRemedy =
    "run `scripts/setup.sh --cuda` and build again, or train with --device cpu";

void* open_plugin() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto& folder : {program, program / "../lib/icedit"})
    if (std::filesystem::exists(folder / kNcclPlugin, ignored)) {
      if (void* plugin = dlopen((folder / kNcclPlugin).c_str(), RTLD_NOW | RTLD_LOCAL))
        return plugin;
      const char* reason = dlerror();
      throw ModelUnavailable(str((folder / kNcclPlugin).string(), " does not load: ",
                                 reason ? reason : "no reason given", "; ", kRemedy));
    }
  throw ModelUnavailable(str("the nccl backend needs the plug-in ", kNcclPlugin,
                             ", which is not in ", program.string(), ": ", kRemedy));
}

}  // namespace

std::unique_ptr<Group> make_nccl_group(const LaunchEnv& env, const GroupOptions& options) {
  void* plugin = open_plugin();  // stays loaded
  const auto make = reinterpret_cast<MakeNcclGroup>(dlsym(plugin, kNcclSymbol));
  if (!make)
    throw ModelUnavailable(
        str(kNcclPlugin, " has no ", kNcclSymbol, ": it is of another version; ", kRemedy));
  return std::unique_ptr<Group>(make(env, options));
}

}  // namespace icedit
