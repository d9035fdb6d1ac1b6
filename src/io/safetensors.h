#pragma once
// The safetensors format: 8 bytes little-endian header length, a JSON header, then the tensors'
// bytes. Every header field is checked against the file before anything is allocated or read.
// Source: https://github.com/huggingface/safetensors (README, "Format").
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/dtype.h"
#include "io/files.h"

namespace icedit {

struct TensorInfo {
  Dtype dtype;
  std::vector<int64_t> shape;  // empty: a scalar
  // Bytes from the start of the file; older writers did not align them to the element's size.
  size_t begin = 0, end = 0;

  int64_t numel() const;
  size_t bytes() const { return end - begin; }
  // Some of the rows (the first dimension), of any type: a row holds whole blocks.
  TensorInfo rows(int64_t first, int64_t last) const;
};

class SafetensorsFile {
 public:
  // Throws NoInputError, IoError, CheckpointError (naming the file, the field, what was expected).
  explicit SafetensorsFile(const Path& path);

  const Path& path() const { return file_->path(); }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  // Throws CheckpointError when there is no such tensor.
  const TensorInfo& info(const std::string& name) const;
  Bytes bytes(const std::string& name) const;
  // Keeps the mapping alive for tensors that point into it.
  std::shared_ptr<const MappedFile> mapping() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

// The header alone, of bytes that need not be a file (for fuzzing). `where` names it in errors.
std::map<std::string, TensorInfo> parse_safetensors_header(
    Bytes file, const std::string& where, std::map<std::string, std::string>* metadata = nullptr);

struct TensorBytes {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;
  Bytes bytes;
};

// Writes atomically, tensors in the order given, data aligned to 8 bytes as the reference does.
// Throws IoError.
void write_safetensors(const Path& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The same for tensors that are not in memory together: write(i, put) hands the bytes of tensor i
// to put, in as many parts as it likes.
struct TensorPlan {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;

  uint64_t size() const;  // bytes
};
using PutBytes = std::function<void(Bytes)>;
void write_safetensors(const Path& path, const std::vector<TensorPlan>& tensors,
                       const std::function<void(size_t, const PutBytes&)>& write,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace icedit
