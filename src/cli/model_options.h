#pragma once
// Options about the model and the machine, the same for every sub-command that runs a model.
#include <optional>
#include <string>
#include <vector>

#include "base/setting.h"
#include "edit/memory_plan.h"

namespace icedit::cli {

struct ModelOptions {
  ModelRequest request;
  std::vector<AdapterRequest> adapters;
  bool no_lora = false;  // not even the model's own
  bool allow_partial = false;
  DtypeChoice dtype = DtypeChoice::kAuto;
  Quant quant = Quant::kNone;
  GgufCompute gguf_compute = GgufCompute::kDequant;
  std::optional<at::ScalarType> noise_dtype;
  std::string device = "auto";
  int64_t threads = 0;  // 0: one a free core
  MemoryLimit memory;
  bool no_cache = false;
};

// Options that write into `options`, which must outlive them.
SettingGroup model_options(ModelOptions& options);
SettingGroup machine_options(ModelOptions& options);

// "PATH", "org/name", "org/name/file.safetensors", each with ":SCALE" behind it where wanted. A
// path that exists is taken as it is, colon and all.
AdapterRequest parse_adapter(const Given& given);

// The adapters asked for, or else the model's own.
std::vector<AdapterRequest> adapters_of(const ModelOptions& options, const ModelDefaults& defaults);

// Also chooses the device.
ResidencyOptions residency_options(const ModelOptions& options, const ModelFiles& files);

}  // namespace icedit::cli
