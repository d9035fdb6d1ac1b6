// The header of a safetensors file. It is read event by event, so that nothing is kept of what does
// not belong there.
#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "io/files.h"
#include "io/safetensors.h"

namespace icedit {
namespace {

using SortedJson = nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // as the reference
constexpr size_t kMaxDimensions = 64;

// Names come from the file: a message shows printable ones of a bearable length.
std::string shown(const std::string& name) {
  std::string text;
  for (const char c : name.substr(0, 200)) text += static_cast<unsigned char>(c) < 32 ? '?' : c;
  return name.size() > 200 ? text + "..." : text;
}

// Offsets in `begin` and `end` count from the end of the header until check_layout() has run.
class HeaderReader : public nlohmann::json_sax<SortedJson> {
 public:
  explicit HeaderReader(const std::string& where) : where_(where) {}

  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("true or false"); }
  bool number_float(double, const std::string& text) override { fail("the number " + text); }
  bool number_integer(int64_t value) override { fail(str("the number ", value)); }
  bool binary(SortedJson::binary_t&) override { fail("binary data"); }

  bool number_unsigned(uint64_t value) override {
    if (depth_ != kInArray) fail(str("the number ", value));
    if (value > uint64_t{std::numeric_limits<int64_t>::max()}) fail(str("the number ", value));
    auto& list = field_ == "shape" ? shape_ : offsets_;
    if (list->size() == (field_ == "shape" ? kMaxDimensions : 2)) fail("more numbers than that");
    list->push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& value) override {
    if (depth_ == kInEntry && in_metadata_) {
      metadata[field_] = value;
    } else if (depth_ == kInEntry && field_ == "dtype") {
      dtype_ = dtype_from_name(value);
      if (!dtype_) fail(str("'", shown(value), "'"));
    } else {
      fail("a string");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ == kInHeader) {
      field_.clear();
      fields_.clear();
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else if (depth_ != kOutside) {
      fail("an object");
    }
    ++depth_;
    return true;
  }

  bool key(std::string& key) override {
    if (depth_ == kInHeader) {
      name_ = key;
      in_metadata_ = key == "__metadata__";
      if (!names_.insert(key).second) {
        throw CheckpointError(str(where_, ": the header has '", shown(key), "' twice."));
      }
      return true;
    }
    field_ = key;
    if (!fields_.insert(key).second) {
      throw CheckpointError(str(place(), " stands there twice."));
    }
    if (!in_metadata_ && key != "dtype" && key != "shape" && key != "data_offsets") {
      throw CheckpointError(str(place(), " is unknown; expected dtype, shape, data_offsets."));
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == kInEntry && !in_metadata_) add_tensor();
    field_.clear();
    --depth_;
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != kInEntry || in_metadata_ || field_ == "dtype") fail("a list");
    (field_ == "shape" ? shape_ : offsets_).emplace();
    ++depth_;
    return true;
  }

  bool end_array() override {
    --depth_;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const SortedJson::exception& error) override {
    throw CheckpointError(str(where_, ": the header is not JSON at its byte ", position, " (",
                              shown(error.what()), "). Is the file damaged?"));
  }

 private:
  enum Depth { kOutside, kInHeader, kInEntry, kInArray };

  std::string place() const {
    std::string text = str(where_, ": ");
    if (depth_ <= kInHeader && name_.empty()) return text + "the header";
    text += in_metadata_ ? "__metadata__" : str("tensor '", shown(name_), "'");
    if (depth_ >= kInEntry && !field_.empty()) text += str(": '", shown(field_), "'");
    return text;
  }

  [[noreturn]] void fail(const std::string& got) const {
    const char* expected = "an object";
    if (depth_ >= kInEntry) {
      if (in_metadata_) {
        expected = "a string";
      } else if (field_ == "dtype") {
        expected = "one of BOOL, U8, I8, I16, I32, I64, F16, BF16, F32, F64, F8_E4M3, F8_E5M2";
      } else if (field_ == "shape") {
        expected = "a list of at most 64 non-negative integers";
      } else {
        expected = "a list of two non-negative integers";
      }
    }
    throw CheckpointError(str(place(), " is ", got, "; expected ", expected, "."));
  }

  void add_tensor() {
    const auto missing = [&](const char* field) {
      return CheckpointError(str(where_, ": tensor '", shown(name_), "' has no '", field, "'."));
    };
    if (!dtype_) throw missing("dtype");
    if (!shape_) throw missing("shape");
    if (!offsets_) throw missing("data_offsets");
    field_ = "data_offsets";
    if (offsets_->size() != 2) fail(str(*offsets_));
    const int64_t begin = offsets_->front(), end = offsets_->back();
    // The product leaves zeros out: [2^62, 8, 0] is as wrong as [2^62, 8] for whoever computes
    // strides.
    int64_t stretched = static_cast<int64_t>(dtype_size(*dtype_)), bytes = stretched;
    for (const int64_t d : *shape_) {
      if (__builtin_mul_overflow(stretched, std::max<int64_t>(d, 1), &stretched)) {
        throw CheckpointError(str(where_, ": tensor '", shown(name_), "': 'shape' ", *shape_,
                                  " has more elements than can be counted."));
      }
      if (d == 0) bytes = 0;
    }
    if (bytes != 0) bytes = stretched;
    if (end < begin || end - begin != bytes) {
      throw CheckpointError(str(place(), " is [", begin, ", ", end, "]; shape ", *shape_, " of ",
                                dtype_name(*dtype_), " takes ", bytes, " bytes."));
    }
    tensors[name_] = {*dtype_, *shape_, static_cast<size_t>(begin), static_cast<size_t>(end)};
  }

  const std::string& where_;
  int depth_ = kOutside;
  bool in_metadata_ = false;
  std::string name_, field_;
  std::set<std::string> names_, fields_;
  std::optional<Dtype> dtype_;
  std::optional<std::vector<int64_t>> shape_, offsets_;
};

// Tensors lie one behind the other, without overlap or hole, up to the end of the file: the
// reference's rule. Turns offsets from the data's start into offsets from the file's.
void check_layout(std::map<std::string, TensorInfo>& tensors, const std::string& where,
                  size_t data_begin, size_t file_size) {
  using Item = std::map<std::string, TensorInfo>::value_type;
  std::vector<Item*> order;
  for (auto& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  const size_t data_size = file_size - data_begin;
  size_t expected = 0;
  const std::string* last = nullptr;
  for (Item* item : order) {
    auto& [name, info] = *item;
    if (info.begin != expected) {
      throw CheckpointError(
          str(where, ": tensor '", shown(name), "': 'data_offsets' is [", info.begin, ", ",
              info.end, "]; expected to begin at ", expected, ", ",
              last == nullptr ? "the start of the data" : "where '" + shown(*last) + "' ends",
              info.begin < expected ? " (they overlap)." : " (bytes between are nobody's)."));
    }
    if (info.end > data_size) {
      throw CheckpointError(str(where, ": tensor '", shown(name), "' ends at byte ", info.end,
                                " of the data, but the file holds ", data_size,
                                ". Was its download interrupted?"));
    }
    expected = info.end;
    last = &name;
  }
  if (expected != data_size) {
    throw CheckpointError(str(where, ": the header describes ", expected,
                              " bytes of data, but the file holds ", data_size, "."));
  }
  for (Item* item : order) {
    item->second.begin += data_begin;
    item->second.end += data_begin;
  }
}

// What else the file may be, for the message: these are the usual mistakes.
std::string likely_kind(std::string_view file) {
  if (file.starts_with("GGUF")) return " It is a GGUF file.";
  if (file.starts_with("PK\x03\x04") || file.starts_with("\x80\x02")) {
    return " It is a PyTorch pickle: convert it to safetensors.";
  }
  if (file.starts_with("version https://git-lfs")) {
    return " It is a Git LFS pointer: run `git lfs pull`, or download the file itself.";
  }
  if (file.starts_with("<")) return " It is a web page: download the file itself.";
  return "";
}

}  // namespace

std::map<std::string, TensorInfo> parse_safetensors_header(
    Bytes file, const std::string& where, std::map<std::string, std::string>* metadata) {
  const std::string_view text = as_text(file);
  if (file.size() < 8) {
    throw CheckpointError(str(where, " has ", file.size(),
                              " bytes; a safetensors file begins with 8 bytes of header length.",
                              likely_kind(text)));
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(file[i]);
  if (length > kMaxHeader || length > file.size() - 8) {
    throw CheckpointError(str(where, ": the header's length is ", length, "; expected at most ",
                              std::min<uint64_t>(kMaxHeader, file.size() - 8),
                              ". The file is truncated or no safetensors file.",
                              likely_kind(text)));
  }
  const std::string_view header = text.substr(8, length);
  // The JSON parser would skip a byte order mark, and take a zero byte for the end.
  if (!header.starts_with('{') || header.find('\0') != std::string_view::npos) {
    throw CheckpointError(str(where, ": the header is not a JSON object. Is the file damaged?"));
  }
  HeaderReader reader(where);
  SortedJson::sax_parse(header.begin(), header.end(), &reader);
  check_layout(reader.tensors, where, 8 + length, file.size());
  if (metadata != nullptr) *metadata = std::move(reader.metadata);
  return std::move(reader.tensors);
}

}  // namespace icedit
