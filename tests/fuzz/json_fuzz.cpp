// Whatever the JSON of a config is, every way to read it ends in a value or in an error of ours.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json_file.h"

namespace {

using icedit::dumped;
using icedit::Error;
using icedit::JsonFile;

template <class Call>
void tolerate(const Call& call) {
  try {
    call();
  } catch (const Error&) {
  }
}

void read_all(const JsonFile& json) {
  for (const std::string& key : json.keys()) {
    tolerate([&] { json.integer(key); });
    tolerate([&] { json.number(key); });
    tolerate([&] { json.boolean(key); });
    tolerate([&] { json.text(key); });
    tolerate([&] { json.integers(key); });
    tolerate([&] { json.texts(key); });
    tolerate([&] { json.integer_or(key, 1); });
    tolerate([&] { read_all(json.object(key)); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tolerate([&] {
    const JsonFile json =
        JsonFile::parse(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    read_all(json);
    // What is written is read again.
    const std::string text = dumped(json.json());
    if (dumped(JsonFile::parse(text, "text").json()) != text) std::abort();
  });
  return 0;
}
