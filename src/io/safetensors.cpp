#include "io/safetensors.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "io/json.h"
#include "io/tensor_stream.h"

namespace icedit {
namespace {

std::string header_of(const Path& path, const std::vector<TensorPlan>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json json = Json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  uint64_t begin = 0;
  std::set<std::string> names = {"__metadata__"};
  for (const TensorPlan& tensor : tensors) {
    const uint64_t end = begin + tensor.size();
    if (!names.insert(tensor.name).second) refuse_tensor(path, tensor, tensor.size());
    json[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string header = dumped(json);
  header.append((8 - header.size() % 8) % 8, ' ');
  return header;
}

}  // namespace

int64_t TensorInfo::numel() const {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

TensorInfo TensorInfo::rows(int64_t first, int64_t last) const {
  const size_t row = size_t(numel() / shape[0] / dtype_block(dtype)) * dtype_size(dtype);
  TensorInfo part = *this;
  part.shape[0] = last - first;
  part.begin = begin + size_t(first) * row;
  part.end = begin + size_t(last) * row;
  return part;
}

SafetensorsFile::SafetensorsFile(const Path& path) : file_(std::make_shared<MappedFile>(path)) {
  tensors_ = parse_safetensors_header(file_->bytes(), path.string(), &metadata_);
}

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw CheckpointError(
        str(path().string(), " has no tensor '", name, "' among its ", tensors_.size(), "."));
  }
  return found->second;
}

Bytes SafetensorsFile::bytes(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  return file_->bytes().subspan(tensor.begin, tensor.end - tensor.begin);
}

uint64_t TensorPlan::size() const {
  uint64_t elements = 1;
  for (const int64_t d : shape) elements *= static_cast<uint64_t>(d);
  return elements / static_cast<uint64_t>(dtype_block(dtype)) * dtype_size(dtype);
}

void write_safetensors(const Path& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorPlan> plans;
  for (const TensorBytes& tensor : tensors) {
    plans.push_back({tensor.name, tensor.dtype, tensor.shape});
    if (tensor.bytes.size() != plans.back().size())
      refuse_tensor(path, plans.back(), tensor.bytes.size());
  }
  write_safetensors(
      path, plans, [&](size_t i, const PutBytes& put) { put(tensors[i].bytes); }, metadata);
}

void write_safetensors(const Path& path, const std::vector<TensorPlan>& tensors,
                       const std::function<void(size_t, const PutBytes&)>& write,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_of(path, tensors, metadata);
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[size_t(i)] = char(uint64_t{header.size()} >> (8 * i));
  write_tensors(path, length + header, tensors, /*alignment=*/1, write);
}

}  // namespace icedit
