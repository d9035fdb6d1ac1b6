#include "edit/device.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "base/setting.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// cuInit(0) of the driver: 0 is success, 100 no device. Source: CUDA driver API, cuda.h.
std::string ask_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return "there is no NVIDIA driver (libcuda.so.1)";
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  if (init == nullptr || count == nullptr) return "libcuda.so.1 is no NVIDIA driver";
  if (const int code = init(0); code != 0)
    return str("the NVIDIA driver answers with error ", code);
  int devices = 0;
  if (count(&devices) != 0 || devices == 0) return "the NVIDIA driver has no device";
  return "";
}

// Beside libtorch_cpu.so, where the wheel and an installed tree have it.
std::string open_library() {
  Dl_info info = {};
  const auto* symbol = reinterpret_cast<const void*>(&at::globalContext);
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr)
    return "libtorch's own place is not known";
  const fs::path library = fs::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
  if (!fs::exists(library)) return library.string() + " is not installed";
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const char* reason = dlerror();
    return str(library.string(),
               " does not load: ", reason == nullptr ? "no reason given" : reason);
  }
  return at::hasCUDA() ? "" : "libtorch finds no CUDA device";
}

}  // namespace

std::string attach_cuda() {
  // libtorch keeps what it found the first time, so there is only one try.
  static const std::string reason = [] {
    const std::string driver = ask_driver();
    return driver.empty() ? open_library() : driver;
  }();
  return reason;
}

at::Device choose_device(const std::string& text) {
  if (text == "cpu") return at::kCPU;
  if (text == "auto") {
    const std::string reason = attach_cuda();
    if (reason.empty()) return at::Device(at::kCUDA, 0);
    log::verbose(str("computing on the CPU: ", reason));
    return at::kCPU;
  }
  int64_t index = 0;
  if (text.starts_with("cuda:")) {
    index = integer_value({"--device cuda:N", text.substr(5)}, 0, 127);
  } else if (text != "cuda") {
    throw UsageError(str("--device is '", text, "', expected auto, cpu, cuda or cuda:N"));
  }
  const std::string reason = attach_cuda();
  if (!reason.empty()) {
    throw ModelUnavailable(str(
        "--device ", text, " was asked for, but ", reason,
        ". Use --device cpu, or install a driver and the CUDA wheels (scripts/setup.sh --cuda)"));
  }
  const auto devices = static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount());
  if (index >= devices) {
    throw ModelUnavailable(str("--device ", text, " was asked for, but there are ", devices,
                               " CUDA devices, from cuda:0"));
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

}  // namespace icedit
