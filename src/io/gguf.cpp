#include "io/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"

namespace icedit {
namespace {

// So many that what is noted of them stays small beside 64 MiB; FLUX has 780 tensors.
constexpr uint64_t kMostTensors = 1 << 16, kMostKeys = 1 << 16, kLongestGgufName = 1 << 16;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kUsualAlignment = 32, kLargestAlignment = 1 << 20;
constexpr int kDeepest = 4;  // arrays in arrays

// ggml_type's numbers. What has no Dtype here is refused by its name.
struct Type {
  uint32_t number;
  const char* name;
  std::optional<Dtype> dtype = {};
};
constexpr std::array<Type, 36> kTypes = {{{0, "F32", Dtype::kF32},
                                          {1, "F16", Dtype::kF16},
                                          {2, "Q4_0", Dtype::kQ4_0},
                                          {3, "Q4_1", Dtype::kQ4_1},
                                          {6, "Q5_0", Dtype::kQ5_0},
                                          {7, "Q5_1", Dtype::kQ5_1},
                                          {8, "Q8_0", Dtype::kQ8_0},
                                          {9, "Q8_1"},
                                          {10, "Q2_K", Dtype::kQ2_K},
                                          {11, "Q3_K", Dtype::kQ3_K},
                                          {12, "Q4_K", Dtype::kQ4_K},
                                          {13, "Q5_K", Dtype::kQ5_K},
                                          {14, "Q6_K", Dtype::kQ6_K},
                                          {15, "Q8_K"},
                                          {16, "IQ2_XXS"},
                                          {17, "IQ2_XS"},
                                          {18, "IQ3_XXS"},
                                          {19, "IQ1_S"},
                                          {20, "IQ4_NL"},
                                          {21, "IQ3_S"},
                                          {22, "IQ2_S"},
                                          {23, "IQ4_XS"},
                                          {24, "I8", Dtype::kI8},
                                          {25, "I16", Dtype::kI16},
                                          {26, "I32", Dtype::kI32},
                                          {27, "I64", Dtype::kI64},
                                          {28, "F64", Dtype::kF64},
                                          {29, "IQ1_M"},
                                          {30, "BF16", Dtype::kBF16},
                                          {31, "Q4_0_4_4"},
                                          {32, "Q4_0_4_8"},
                                          {33, "Q4_0_8_8"},
                                          {34, "TQ1_0"},
                                          {35, "TQ2_0"},
                                          {39, "MXFP4"},
                                          {40, "NVFP4"}}};

// Bytes of a metadata value's type; 0: a string (8) or an array (9).
constexpr std::array<size_t, 13> kValueSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr uint32_t kUint32 = 4, kString = 8, kArray = 9, kUint16 = 2;

class Reader {
 public:
  Reader(Bytes file, const std::string& where) : file_(file), where_(where) {}

  std::map<std::string, TensorInfo> header() {
    if (!is_gguf(file_)) fail("it does not begin with 'GGUF'");
    at_ = 4;
    const auto version = number<uint32_t>("the version");
    if (version != 2 && version != 3) {
      fail(str("its version is ", version, ", 2 and 3 are read",
               (version & 0xffff) == 0 ? " (a big-endian file?)" : ""));
    }
    const auto tensors = number<uint64_t>("the number of tensors");
    const auto keys = number<uint64_t>("the number of keys");
    if (tensors > kMostTensors) fail(str("it claims ", tensors, " tensors"));
    if (keys > kMostKeys) fail(str("it claims ", keys, " keys of metadata"));
    for (uint64_t i = 0; i < keys; ++i) metadata();
    for (uint64_t i = 0; i < tensors; ++i) tensor();
    return place();
  }

 private:
  struct Found {
    TensorInfo info;
    uint64_t offset, bytes;
  };

  [[noreturn]] void fail(const std::string& why) const {
    throw CheckpointError(str(
        where_, ": this GGUF file is damaged or not as the format wants: ", why, "; get it again"));
  }

  uint64_t left() const { return file_.size() - at_; }

  template <class T>
  T number(const char* what) {
    if (left() < sizeof(T)) fail(str("it ends within ", what));
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string text(const char* what, uint64_t longest) {
    const auto size = number<uint64_t>(what);
    if (size > left()) fail(str(what, " has ", size, " bytes, ", left(), " are left"));
    if (size > longest) fail(str(what, " has ", size, " bytes, at most ", longest, " are read"));
    std::string value(reinterpret_cast<const char*>(file_.data()) + at_, size);
    at_ += size;
    return value;
  }

  void skip(uint64_t count, uint64_t size, const std::string& key) {
    if (size != 0 && count > left() / size)
      fail(str("key '", key, "' has ", count, " values, for which the file has no room"));
    at_ += count * size;
  }

  void skip_value(uint32_t type, const std::string& key, int depth) {
    if (type >= kValueSizes.size()) fail(str("key '", key, "' has the unknown type ", type));
    if (type == kString) return skip(number<uint64_t>("a text"), 1, key);
    if (type != kArray) return skip(1, kValueSizes[type], key);
    if (depth == kDeepest) fail(str("key '", key, "' holds arrays in arrays in arrays"));
    const auto of = number<uint32_t>("an array");
    const auto count = number<uint64_t>("an array");
    if (of >= kValueSizes.size()) fail(str("key '", key, "' has the unknown type ", of));
    if (kValueSizes[of] != 0) return skip(count, kValueSizes[of], key);
    for (uint64_t i = 0; i < count; ++i) skip_value(of, key, depth + 1);  // 8 bytes each at least
  }

  void metadata() {
    const std::string key = text("a key", kLongestGgufName);
    if (!keys_.insert(key).second) fail(str("key '", key, "' stands in it twice"));
    const auto type = number<uint32_t>("a key's type");
    if (key == "general.alignment" && type == kUint32) {
      alignment_ = number<uint32_t>("the alignment");
      const bool power = alignment_ != 0 && (alignment_ & (alignment_ - 1)) == 0;
      if (!power || alignment_ > kLargestAlignment)
        fail(str("its alignment is ", alignment_, ", expected a power of two"));
    } else if (key == "split.count" && type == kUint16) {
      if (const auto parts = number<uint16_t>("the number of parts"); parts > 1) {
        throw CheckpointError(str(where_, " is one of ", parts,
                                  " parts of a GGUF file; join them first (llama-gguf-split "
                                  "--merge FIRST.gguf WHOLE.gguf), and give the whole"));
      }
    } else {
      skip_value(type, key, 0);
    }
  }

  void tensor() {
    const std::string name = text("a tensor's name", kLongestGgufName);
    const auto dimensions = number<uint32_t>("a tensor's dimensions");
    if (dimensions > kMostDimensions)
      fail(str("tensor '", name, "' has ", dimensions, " dimensions"));
    Found found{};
    uint64_t elements = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto size = number<uint64_t>("a tensor's shape");
      if (size == 0 || size > (uint64_t{1} << 48) / elements)
        fail(str("tensor '", name, "' has a side of ", size));
      elements *= size;
      found.info.shape.insert(found.info.shape.begin(), static_cast<int64_t>(size));
    }
    found.info.dtype = type_of(number<uint32_t>("a tensor's type"), name);
    found.offset = number<uint64_t>("a tensor's offset");
    const auto block = static_cast<uint64_t>(dtype_block(found.info.dtype));
    const uint64_t row = found.info.shape.empty() ? 1 : uint64_t(found.info.shape.back());
    if (row % block != 0) {
      fail(str("tensor '", name, "' has rows of ", row, " values, ", dtype_name(found.info.dtype),
               " wants a multiple of ", block));
    }
    found.bytes = elements / block * dtype_size(found.info.dtype);
    if (!found_.emplace(name, found).second) fail(str("tensor '", name, "' stands in it twice"));
  }

  Dtype type_of(uint32_t number, const std::string& name) const {
    for (const Type& type : kTypes) {
      if (type.number != number) continue;
      if (type.dtype) return *type.dtype;
      throw CheckpointError(
          str(where_, ": tensor '", name, "' is stored as ", type.name,
              ", which is not read; give a file in Q8_0, Q4_0, Q4_K or the like"));
    }
    fail(str("tensor '", name, "' has the unknown type ", number));
  }

  std::map<std::string, TensorInfo> place() const {
    const uint64_t data = (at_ + alignment_ - 1) / alignment_ * alignment_;
    std::map<std::string, TensorInfo> tensors;
    for (const auto& [name, found] : found_) {
      if (found.offset % alignment_ != 0)
        fail(str("tensor '", name, "' begins at ", found.offset, ", no multiple of ", alignment_));
      const uint64_t room = file_.size() > data ? file_.size() - data : 0;
      if (found.offset > room || found.bytes > room - found.offset)
        fail(str("tensor '", name, "' ends behind the end of the file"));
      TensorInfo info = found.info;
      info.begin = data + found.offset;
      info.end = info.begin + found.bytes;
      tensors[name] = info;
    }
    return tensors;
  }

  Bytes file_;
  const std::string& where_;
  uint64_t at_ = 0, alignment_ = kUsualAlignment;
  std::set<std::string> keys_;
  std::map<std::string, Found> found_;
};

}  // namespace

bool is_gguf(Bytes file) {
  return as_text(file).starts_with("GGUF");
}

uint32_t gguf_type(Dtype dtype) {
  for (const Type& type : kTypes)
    if (type.dtype == dtype) return type.number;
  throw CheckpointError(str("GGUF files cannot hold ", dtype_name(dtype)));
}

std::map<std::string, TensorInfo> parse_gguf_header(Bytes file, const std::string& where) {
  return Reader(file, where).header();
}

}  // namespace icedit
