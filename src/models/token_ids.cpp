#include "models/token_ids.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace icedit {

Tensor checked_ids(const Tensor& input_ids, int64_t vocabulary, int64_t longest) {
  if (!input_ids.defined()) throw UsageError("input_ids: expected [N, L], got nothing");
  const Shape shape = input_ids.sizes().vec();
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1) {
    throw UsageError(str("input_ids: expected [N, L], got ", shape));
  }
  if (!at::isIntegralType(input_ids.scalar_type(), /*includeBool=*/false)) {
    throw UsageError(
        str("input_ids: expected integers, got ", at::toString(input_ids.scalar_type())));
  }
  if (longest > 0 && shape[1] > longest) {
    throw UsageError(str("input_ids: expected at most ", longest,
                         " tokens (max_position_embeddings in the model's config.json), got ",
                         shape));
  }
  const Tensor ids = input_ids.to(at::kCPU, at::kLong).contiguous();
  const Tensor wrong = (ids < 0).logical_or(ids >= vocabulary);
  if (wrong.any().item<bool>()) {
    const int64_t at = wrong.flatten().to(at::kByte).argmax().item<int64_t>();
    throw UsageError(str("input_ids[", at / shape[1], ", ", at % shape[1], "]: expected 0 ... ",
                         vocabulary - 1, " (the model's vocabulary), got ",
                         ids.flatten()[at].item<int64_t>(),
                         ". Do the tokenizer and the text encoder belong to the same model?"));
  }
  return ids;
}

}  // namespace icedit
