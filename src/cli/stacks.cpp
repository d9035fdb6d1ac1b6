#include "cli/stacks.h"

#include <ATen/ATen.h>

#include <map>
#include <memory>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "models/flux/names.h"
#include "models/single_file.h"
#include "nn/comfy_quant.h"
#include "nn/fp8_scales.h"
#include "nn/matrix.h"

namespace icedit::cli {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

}  // namespace

std::vector<Stack> flux_stacks(const Checkpoint& transformer) {
  std::map<std::string, Stack> stacks;
  for (const auto& [name, entry] : transformer.entries()) {
    const auto place = bfl_part(module_of(name));
    if (!place) {
      throw CheckpointError(str(transformer.where(), ": tensor '", name,
                                "' belongs to no part of FLUX that BFL's files name"));
    }
    const bool weight = name.ends_with(kWeight);
    if (!weight && !name.ends_with(kBias)) continue;           // part of a quantised weight
    const bool norm = weight && entry.info.shape.size() == 1;  // BFL calls it a scale
    const std::string target = place->module + (norm ? ".scale" : name.substr(name.rfind('.')));
    Stack& stack = stacks[target];
    stack.name = target;
    stack.swapped = halves_are_swapped(place->module);
    stack.parts.resize(place->parts);
    stack.parts[place->part] = name;
  }
  std::vector<Stack> all;
  for (auto& [name, stack] : stacks) all.push_back(std::move(stack));
  return all;
}

std::vector<Stack> t5_stacks(const Checkpoint& encoder) {
  std::vector<Stack> all;
  for (const auto& [name, entry] : encoder.entries()) {
    if (name == "encoder.embed_tokens.weight" && encoder.has("shared.weight")) continue;
    if (name.ends_with(kWeight)) all.push_back({gguf_t5_name(name), {name}});
  }
  return all;
}

StackReader::StackReader(const Checkpoint& checkpoint)
    : checkpoint_(checkpoint), weights_(checkpoint, {at::kFloat, /*keep_stored=*/true, at::kCPU}) {}

Shape StackReader::shape(const Stack& stack) const {
  Shape shape = checkpoint_.entry(stack.parts[0]).info.shape;
  if (shape.empty()) return shape;
  if (shape.size() == 2) shape[1] = matrix_inputs(checkpoint_, module_of(stack.parts[0]));
  for (size_t i = 1; i < stack.parts.size(); ++i)
    shape[0] += checkpoint_.entry(stack.parts[i]).info.shape.at(0);
  return shape;
}

Dtype StackReader::dtype(const Stack& stack) const {
  return checkpoint_.entry(stack.parts[0]).info.dtype;
}

void StackReader::each_rows(const std::string& part,
                            const std::function<void(const Tensor&)>& use) const {
  const Shape& shape = checkpoint_.entry(part).info.shape;
  const Weights at = weights_ / module_of(part);
  if (shape.size() != 2) return use(at.stored(part.substr(part.rfind('.') + 1), shape));
  load_matrix(at, matrix_inputs(checkpoint_, module_of(part)), shape[0])
      ->each_tile(at::kFloat, [&](int64_t, const Tensor& rows) { use(rows); });
}

void StackReader::each(const Stack& stack, const std::function<void(const Tensor&)>& use) const {
  for (const std::string& part : stack.parts) {
    Tensors swapped;  // the rows of a whole part
    each_rows(part, [&](const Tensor& rows) {
      if (!at::isfinite(rows.to(at::kFloat)).all().item<bool>()) {
        throw CheckpointError(str(where(), ": tensor '", part,
                                  "' holds NaN or infinity; the file is damaged, get it again"));
      }
      stack.swapped ? swapped.push_back(rows) : use(rows);
    });
    if (stack.swapped) {
      const auto halves = at::cat(swapped).chunk(2);
      use(at::cat({halves[1], halves[0]}));
    }
    checkpoint_.entry(part).release();
  }
}

Bytes bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

std::vector<TensorPlan> plans_of(const std::vector<FileTensor>& planned) {
  std::vector<TensorPlan> plans;
  for (const FileTensor& tensor : planned) plans.push_back(tensor.plan);
  return plans;
}

std::function<void(size_t, const PutBytes&)> writer_of(const std::vector<FileTensor>& planned) {
  const auto progress = std::make_shared<Progress>("quantising", int64_t(planned.size()), "tensor");
  return [&planned, progress](size_t i, const PutBytes& put) {
    throw_if_interrupted();
    planned[i].write(put);
    progress->update(int64_t(i + 1));
  };
}

}  // namespace icedit::cli
