#include "io/safetensors.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "io/disk_space.h"

namespace icedit {
namespace {

// JSON's spelling of a string; what is not UTF-8 becomes U+FFFD, since no reader would take the
// file otherwise.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

[[noreturn]] void refuse(const Path& path, const TensorPlan& tensor, uint64_t got) {
  throw IoError(str(path.string(), ": tensor '", tensor.name, "' of shape ", tensor.shape, " with ",
                    got, " bytes (expected ", tensor.size(),
                    ") cannot be written, or its name is taken."));
}

std::string header_of(const Path& path, const std::vector<TensorPlan>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  const auto comma = [&header] {
    if (header.back() != '{') header += ',';
  };
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      comma();
      header += quoted(key) + ":" + quoted(value);
    }
    header += "}";
  }
  uint64_t begin = 0;
  std::set<std::string> names;
  for (const TensorPlan& tensor : tensors) {
    const uint64_t expected = tensor.size();
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      refuse(path, tensor, expected);
    comma();
    header += quoted(tensor.name) + ":{\"dtype\":\"" + std::string(dtype_name(tensor.dtype)) +
              "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      header += str(i ? "," : "", tensor.shape[i]);
    }
    header += str("],\"data_offsets\":[", begin, ",", begin + expected, "]}");
    begin += expected;
  }
  header += "}";
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
