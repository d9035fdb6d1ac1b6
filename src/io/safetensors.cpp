#include "io/safetensors.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "io/json.h"

namespace icedit {
namespace {

[[noreturn]] void refuse(const Path& path, const TensorPlan& tensor, uint64_t got) {
  throw IoError(str(path.string(), ": tensor '", tensor.name, "' of shape ", tensor.shape, " with ",
                    got, " bytes (expected ", tensor.size(),
                    ") cannot be written, or its name is taken."));
}

std::string header_of(const Path& path, const std::vector<TensorPlan>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json json = Json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  uint64_t begin = 0;
  std::set<std::string> names = {"__metadata__"};
  for (const TensorPlan& tensor : tensors) {
    const uint64_t end = begin + tensor.size();
    if (!names.insert(tensor.name).second) refuse(path, tensor, tensor.size());
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
  uint64_t bytes = dtype_size(dtype);
  for (const int64_t d : shape) bytes *= static_cast<uint64_t>(d);
  return bytes;
}

void write_safetensors(const Path& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorPlan> plans;
  for (const TensorBytes& tensor : tensors) {
    plans.push_back({tensor.name, tensor.dtype, tensor.shape});
    if (tensor.bytes.size() != plans.back().size()) refuse(path, plans.back(), tensor.bytes.size());
  }
  write_safetensors(
      path, plans, [&](size_t i, const PutBytes& put) { put(tensors[i].bytes); }, metadata);
}

void write_safetensors(const Path& path, const std::vector<TensorPlan>& tensors,
                       const std::function<void(size_t, const PutBytes&)>& write,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_of(path, tensors, metadata);
  uint64_t needed = 8 + header.size();
  for (const TensorPlan& tensor : tensors) needed += tensor.size();
  // Told before gigabytes are written; what another process takes meanwhile is told by
  // write_atomically.
  expect_free_space(path, needed, "free some space or choose another folder");
  write_atomically(path, [&](std::ostream& out) {
    char length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i));
    out.write(length, 8);
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (size_t i = 0; i < tensors.size(); ++i) {
      uint64_t put = 0;
      write(i, [&](Bytes bytes) {
        out.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
        put += bytes.size();
      });
      if (put != tensors[i].size()) refuse(path, tensors[i], put);
    }
  });
}

}  // namespace icedit
