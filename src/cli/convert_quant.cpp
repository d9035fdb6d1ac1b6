#include "cli/convert_quant.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <map>
#include <span>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "models/flux/names.h"
#include "nn/block.h"
#include "nn/int8_matrix.h"

namespace icedit::cli {
namespace {

// A tensor of the file, and how its bytes are made: once, in the order of the file.
struct Planned {
  TensorPlan plan;
  std::function<void(const PutBytes&)> write;
};

Bytes bytes_of(const Tensor& t) {
  return {static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()};
}

// The diffusers modules that one BFL module stacks, in its order.
using Parts = std::vector<std::string>;

class QuantisedFile {
 public:
  explicit QuantisedFile(const Component& transformer)
      : weights_(transformer.checkpoint, {at::kFloat, /*keep_stored=*/true, at::kCPU}),
        checkpoint_(transformer.checkpoint) {}

  std::vector<Planned> plan() {
    std::map<std::string, Parts> modules;
    for (const auto& [name, entry] : checkpoint_.entries()) {
      const std::string module = name.substr(0, name.rfind('.'));
      const auto place = bfl_part(module);
      if (!place) {
        throw CheckpointError(str(checkpoint_.where(), ": tensor '", name,
                                  "' belongs to no part of FLUX that BFL's files name"));
      }
      Parts& parts = modules[place->module];
      parts.resize(place->parts);
      parts[place->part] = module;
    }
    for (const auto& [module, parts] : modules) add_module(module, parts);
    return std::move(planned_);
  }

  int64_t quantised() const { return quantised_; }

 private:
  int64_t rows(const std::string& tensor) const {
    return checkpoint_.entry(tensor).info.shape.at(0);
  }

  void add_module(const std::string& module, const Parts& parts) {
    const auto& shape = checkpoint_.entry(parts[0] + ".weight").info.shape;
    const bool matrix = shape.size() == 2;
    if (matrix && may_be_quantised(parts[0]) && rotation_group(shape[1]) != 0) {
      add_int8(module, parts, shape[1]);
    } else {
      // BFL's name for a norm's weight.
      add_stored(module + (matrix ? ".weight" : ".scale"), module, parts, "weight");
    }
    if (checkpoint_.has(parts[0] + ".bias")) add_stored(module + ".bias", module, parts, "bias");
  }

  void add_int8(const std::string& module, const Parts& parts, int64_t in) {
    ++quantised_;
    const int64_t group = rotation_group(in);
    int64_t out = 0;
    for (const std::string& part : parts) out += rows(part + ".weight");
    auto scales = std::make_shared<Tensors>();
    planned_.push_back(
        {{module + ".weight", Dtype::kI8, {out, in}}, [=, this](const PutBytes& put) {
           for (const std::string& part : parts) {
             const Tensor dense = matrix(part, in);
             if (!at::isfinite(dense).all().item<bool>()) {
               throw CheckpointError(str(checkpoint_.where(), ": tensor '", part,
                                         ".weight' holds NaN or infinity; the file "
                                         "is damaged, get it again"));
             }
             const Int8Values v = quantised_rows(dense, group);
             put(bytes_of(v.values));
             scales->push_back(v.scales);
           }
         }});
    planned_.push_back({{module + ".weight_scale", Dtype::kF32, {out, 1}},
                        [=](const PutBytes& put) { put(bytes_of(at::cat(*scales))); }});
    const std::string text = int8_description(group);
    planned_.push_back({{module + ".comfy_quant", Dtype::kU8, {int64_t(text.size())}},
                        [=](const PutBytes& put) { put(std::as_bytes(std::span(text))); }});
  }

  // What no product is made with in 8 bits: in its own dtype, blocks and fp8 as bf16.
  void add_stored(const std::string& name, const std::string& module, const Parts& parts,
                  const std::string& tensor) {
    Shape shape = checkpoint_.entry(parts[0] + "." + tensor).info.shape;
    for (size_t i = 1; i < parts.size(); ++i) shape[0] += rows(parts[i] + "." + tensor);
    const Dtype stored = checkpoint_.entry(parts[0] + "." + tensor).info.dtype;
    const bool plain = stored == Dtype::kF32 || stored == Dtype::kF16 || stored == Dtype::kBF16;
    const Dtype dtype = plain ? stored : Dtype::kBF16;
    planned_.push_back({{name, dtype, shape}, [=, this](const PutBytes& put) {
                          for (const std::string& part : parts) {
                            const auto& own = checkpoint_.entry(part + "." + tensor).info.shape;
                            Tensor values = own.size() == 2 ? matrix(part, own[1])
                                                            : weights_at(part).stored(tensor, own);
                            if (halves_are_swapped(module)) {
                              const auto halves = values.chunk(2);
                              values = at::cat({halves[1], halves[0]});
                            }
                            put(bytes_of(values.to(scalar_type(dtype)).contiguous()));
                          }
                        }});
  }

  Tensor matrix(const std::string& module, int64_t in) const {
    return load_matrix(weights_at(module), in, rows(module + ".weight"))->dense(at::kFloat);
  }
  Weights weights_at(const std::string& module) const { return weights_ / module; }

  Weights weights_;
  const Checkpoint& checkpoint_;
  std::vector<Planned> planned_;
  int64_t quantised_ = 0;
};

}  // namespace

void convert_quantised(const Component& transformer, const Path& output) {
  const c10::InferenceMode no_grad;
  QuantisedFile file(transformer);
  const std::vector<Planned> planned = file.plan();
  std::vector<TensorPlan> plans;
  for (const Planned& tensor : planned) plans.push_back(tensor.plan);
  Progress progress("quantising", int64_t(planned.size()), "tensor");
  write_safetensors(output, plans,
                    [&](size_t i, const PutBytes& put) {
                      throw_if_interrupted();
                      planned[i].write(put);
                      progress.update(int64_t(i + 1));
                    },
                    {{"format", "pt"}});
  log::info(str(transformer.checkpoint.where(), ": ", file.quantised(), " matrices -> int8"));
}

}  // namespace icedit::cli
