#include <cstring>
#include <set>

#include "base/error.h"
#include "io/gguf.h"
#include "io/tensor_stream.h"

namespace icedit {
namespace {

constexpr uint64_t kAlignment = 32;  // the format's, where no key says otherwise
constexpr uint32_t kVersion = 3;
// gguf_metadata_value_type's numbers, in the order of GgufKey's variant.
constexpr uint32_t kValueTypes[] = {8, 4, 6, 7};

class GgufHeader {
 public:
  template <class T>
  GgufHeader& number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufHeader& text(const std::string& value) {
    number<uint64_t>(value.size());
    out_ += value;
    return *this;
  }
  void magic() { out_ += "GGUF"; }
  void key(const GgufKey& key) {
    text(key.name).number(kValueTypes[key.value.index()]);
    std::visit(
        [this](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
            text(value);
          else
            number(value);
        },
        key.value);
  }
  // The columns first.
  void tensor(const TensorPlan& plan, uint64_t offset) {
    text(plan.name).number(uint32_t(plan.shape.size()));
    for (auto side = plan.shape.rbegin(); side != plan.shape.rend(); ++side)
      number(uint64_t(*side));
    number(gguf_type(plan.dtype)).number(offset);
  }
  std::string whole() const {
    return out_ + std::string(aligned(out_.size(), kAlignment) - out_.size(), '\0');
  }

 private:
  std::string out_;
};

}  // namespace

void write_gguf(const Path& path, const std::vector<GgufKey>& keys,
                const std::vector<TensorPlan>& tensors,
                const std::function<void(size_t, const PutBytes&)>& write) {
  GgufHeader header;
  header.magic();
  header.number(kVersion).number(uint64_t{tensors.size()}).number(uint64_t{keys.size()});
  for (const GgufKey& key : keys) header.key(key);
  std::set<std::string> names;
  uint64_t offset = 0;
  for (const TensorPlan& tensor : tensors) {
    if (!names.insert(tensor.name).second) refuse_tensor(path, tensor, tensor.size());
    header.tensor(tensor, offset);
    offset += aligned(tensor.size(), kAlignment);
  }
  write_tensors(path, header.whole(), tensors, kAlignment, write);
}

}  // namespace icedit
