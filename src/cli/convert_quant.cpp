#include "cli/convert_quant.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <memory>

#include "base/log.h"
#include "cli/stacks.h"
#include "edit/precision.h"
#include "models/flux/names.h"
#include "nn/comfy_quant.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"

namespace icedit::cli {
namespace {

class QuantisedFile {
 public:
  QuantisedFile(const Component& transformer, Quant quant)
      : reader_(transformer.checkpoint), quant_(quant) {
    for (const Stack& stack : flux_stacks(transformer.checkpoint)) add_stack(stack);
  }

  const std::vector<FileTensor>& planned() const { return planned_; }
  int64_t quantised() const { return quantised_; }

 private:
  void add_stack(const Stack& stack) {
    const Shape shape = reader_.shape(stack);
    const std::string module = module_of(stack.parts[0]);
    const bool matrix = shape.size() == 2 && may_be_quantised(module);
    const int64_t group = matrix ? rotation_group(shape[1]) : 0;
    if (group == 0) return add_stored(stack, shape);
    ++quantised_;
    quant_ == Quant::kInt4 ? add_int4(stack, shape, group) : add_int8(stack, shape, group);
  }

  void add_int8(const Stack& stack, const Shape& shape, int64_t group) {
    auto scales = std::make_shared<Tensors>();
    add(stack.name, Dtype::kI8, shape, [=, this](const PutBytes& put) {
      reader_.each(stack, [&](const Tensor& rows) {
        const Int8Values v = quantised_rows(rows, group);
        put(bytes_of(v.values));
        scales->push_back(v.scales);
      });
    });
    add_made(stack.name + "_scale", Dtype::kF32, {shape[0], 1}, scales);
    add_description(stack, {std::string(kInt8Format), group});
  }

  // The quantiser has one set of levels for all, so that parts can be stacked.
  void add_int4(const Stack& stack, const Shape& shape, int64_t group) {
    auto run_scales = std::make_shared<Tensors>(), scales = std::make_shared<Tensors>(),
         levels = std::make_shared<Tensors>();
    const int64_t out = shape[0], in = shape[1];
    add(stack.name, Dtype::kI8, {out, in / 2}, [=, this](const PutBytes& put) {
      reader_.each(stack, [&](const Tensor& rows) {
        const Int4Values v = quantised_rows_in_4_bits(rows, group);
        put(bytes_of(v.codes));
        run_scales->push_back(v.run_scales);
        scales->push_back(v.scales);
        *levels = {v.levels};
      });
    });
    add_made(stack.name + "_s_rel", Dtype::kF8E4M3, {out, in / kInt4Run}, run_scales);
    add_made(stack.name + "_s_channel", Dtype::kF32, {out}, scales);
    add_made(stack.name + "_codebook", Dtype::kF32, {16}, levels);
    add_description(stack, {std::string(kInt4Format), group});
  }

  // What no product is made with in whole numbers: in its own dtype, blocks and fp8 as bf16.
  void add_stored(const Stack& stack, const Shape& shape) {
    const Dtype stored = reader_.dtype(stack);
    const bool plain = stored == Dtype::kF32 || stored == Dtype::kF16 || stored == Dtype::kBF16;
    const Dtype dtype = plain ? stored : Dtype::kBF16;
    add(stack.name, dtype, shape, [=, this](const PutBytes& put) {
      reader_.each(stack, [&](const Tensor& rows) {
        put(bytes_of(rows.to(scalar_type(dtype)).contiguous()));
      });
    });
  }

  void add(const std::string& name, Dtype dtype, const Shape& shape,
           std::function<void(const PutBytes&)> write) {
    planned_.push_back({{name, dtype, shape}, std::move(write)});
  }
  // Tensors that writing what stands before them makes.
  void add_made(const std::string& name, Dtype dtype, const Shape& shape,
                const std::shared_ptr<Tensors>& made) {
    add(name, dtype, shape, [made](const PutBytes& put) {
      for (const Tensor& tensor : *made) put(bytes_of(tensor));
      made->clear();
    });
  }
  void add_description(const Stack& stack, const ComfyQuant& quant) {
    const std::string text = comfy_quant_text(quant);
    add(module_of(stack.name) + ".comfy_quant", Dtype::kU8, {int64_t(text.size())},
        [text](const PutBytes& put) { put(as_bytes(text)); });
  }

  StackReader reader_;
  Quant quant_;
  std::vector<FileTensor> planned_;
  int64_t quantised_ = 0;
};

}  // namespace

void convert_quantised(const Component& transformer, Quant quant, const Path& output) {
  const c10::InferenceMode no_grad;
  const QuantisedFile file(transformer, quant);
  write_safetensors(output, plans_of(file.planned()), writer_of(file.planned()),
                    {{"format", "pt"}});
  log::info(str(transformer.checkpoint.where(), ": ", file.quantised(), " matrices -> ",
                quant_name(quant)));
}

}  // namespace icedit::cli
