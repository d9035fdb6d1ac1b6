// Every kernel of the pretend device: the CPU's, on the same bytes.
#include "device/pretend_fallback.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <cstring>
#include <set>

namespace icedit::pretend {
namespace {

using c10::IValue;

bool is_ours(const Tensor& t) {
  return t.defined() && t.is_privateuseone();
}

// CUDA's kernels take numbers from the CPU, and its indexing the places too.
void expect_one_device(const std::string& kernel, const std::vector<Tensor>& operands) {
  static const std::set<std::string> by_places = {"aten::index", "aten::index_put_",
                                                  "aten::_index_put_impl_"};
  if (by_places.count(kernel) != 0) return;
  for (const Tensor& t : operands) {
    const bool fits = !t.defined() || is_ours(t) || (t.is_cpu() && t.dim() == 0);
    TORCH_CHECK(fits, "Expected all tensors to be on the same device, but ", kernel,
                " on the pretend device is given one of ", t.sizes(), " on ", t.device());
  }
}

// `change` of each tensor of a value.
template <class Change>
IValue changed(const IValue& value, const Change& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& t : value.toTensorVector()) list.push_back(change(t));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor>& t : value.toOptionalTensorVector())
      list.push_back(t ? std::optional(change(*t)) : t);
    return list;
  }
  return value;
}

IValue on_cpu(const IValue& value) {
  if (value.isDevice() && value.toDevice() == device()) return c10::Device(c10::kCPU);
  return value;
}

}  // namespace

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto count = op.schema().arguments().size();
  const auto first = stack->end() - std::ptrdiff_t(count);
  std::vector<Tensor> operands;
  for (auto argument = first; argument != stack->end(); ++argument) {
    changed(*argument, [&](const Tensor& t) { return operands.emplace_back(t); });
  }
  expect_one_device(op.schema().name(), operands);
  Aliases aliases;
  for (auto argument = first; argument != stack->end(); ++argument)
    *argument = changed(on_cpu(*argument), [&](const Tensor& t) { return aliases.of(t); });
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  aliases.grow();
  const auto results = stack->end() - std::ptrdiff_t(op.schema().returns().size());
  for (auto result = results; result != stack->end(); ++result)
    *result = changed(*result, [&](const Tensor& t) { return aliases.back(t); });
}

Tensor Aliases::of(const Tensor& t) {
  if (!is_ours(t)) return t;
  for (const auto& [ours, alias] : pairs_)
    if (ours.is_same(t)) return alias;
  const Tensor alias = at::detail::make_tensor<c10::TensorImpl>(
      alias_of(t.storage()), c10::DispatchKeySet(c10::DispatchKey::CPU), t.dtype());
  alias.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  alias.unsafeGetTensorImpl()->_set_conj(t.is_conj());
  alias.unsafeGetTensorImpl()->_set_neg(t.is_neg());
  pairs_.emplace_back(t, alias);
  return alias;
}

c10::Storage Aliases::alias_of(const c10::Storage& ours) {
  for (const auto& [storage, alias] : storages_)
    if (storage.is_alias_of(ours)) return alias;
  c10::Storage alias(c10::Storage::use_byte_size_t(), ours.nbytes(),
                     {Memory::all().on_device(ours.data()), c10::Device(c10::kCPU)},
                     c10::GetAllocator(c10::kCPU), /*resizable=*/true);
  storages_.emplace_back(ours, alias);
  return alias;
}

void Aliases::grow() {
  for (auto& [ours, alias] : storages_) {
    if (alias.nbytes() <= ours.nbytes()) continue;
    auto larger = c10::GetAllocator(device().type())->allocate(alias.nbytes());
    std::memcpy(Memory::all().on_device(larger.get()), alias.data(), alias.nbytes());
    ours.set_data_ptr_noswap(std::move(larger));
    ours.set_nbytes(alias.nbytes());
  }
}

Tensor Aliases::back(const Tensor& made) {
  if (!made.defined() || !made.is_cpu()) return made;
  for (const auto& [ours, alias] : pairs_) {
    if (!made.is_same(alias)) continue;
    ours.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides(),
                                                      made.storage_offset());
    return ours;
  }
  for (const auto& [ours, alias] : pairs_) {
    if (!made.is_alias_of(alias)) continue;
    const Tensor view = at::detail::make_tensor<c10::TensorImpl>(
        c10::TensorImpl::VIEW, c10::Storage(ours.storage()), ours.key_set(), made.dtype());
    view.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides(),
                                                      made.storage_offset());
    return view;
  }
  const Tensor ours =
      at::empty_strided(made.sizes(), made.strides(), made.options().device(device()));
  of(ours).copy_(made);
  return ours;
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

}  // namespace icedit::pretend
