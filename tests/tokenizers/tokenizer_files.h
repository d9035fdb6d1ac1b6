#pragma once
// What the tokenizers' tests share: the reference ids, and folders that last as long as a test.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/str.h"
#include "io/files.h"
#include "io/safetensors.h"
#include "io/temporary_folder.h"

namespace icedit {

using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

inline Path golden(const std::string& name) {
  return Path(ICEDIT_GOLDENS) / name;
}
inline Path tiny(const std::string& name) {
  return golden("tiny-fill") / name;
}
inline Path nano(const std::string& name) {
  return Path(ICEDIT_SOURCE) / "models" / "nano" / "model" / name;
}

inline Json read_json(const Path& path) {
  return Json::parse(read_file(path));
}

// The rows of an int32 tensor [N, L].
inline std::vector<Ids> rows(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo& info = file.info(name);
  EXPECT_EQ(info.dtype, Dtype::kI32);
  EXPECT_EQ(info.shape.size(), 2u);
  const auto length = static_cast<size_t>(info.shape.at(1));
  std::vector<Ids> out(static_cast<size_t>(info.shape.at(0)), Ids(length));
  for (size_t i = 0; i < out.size(); ++i)
    std::memcpy(out[i].data(), file.bytes(name).data() + i * length * 4, length * 4);
  return out;
}

class TempFolder : public TemporaryFolder {
 public:
  void copy(const Path& folder, const std::string& name) const {
    std::filesystem::copy_file(folder / name, path() / name);
  }
};

// The message of the E that `run` throws; fails the test if it throws nothing or something else.
template <class E, class Run>
std::string message_of(Run run) {
  try {
    run();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another error: " << e.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace icedit
