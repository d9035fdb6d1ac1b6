#include "io/json_file.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {

using SortedJson = nlohmann::json;  // finds a key among many at once

struct JsonFile::Impl {
  SortedJson object;
  std::string where;

  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    const auto found = object.find(key);
    if (found == object.end()) {
      throw CheckpointError(str(where, ": '", key, "' is missing; expected ", expected, "."));
    }
    std::string value = found->dump();
    if (value.size() > 100) value = value.substr(0, 100) + "...";
    throw CheckpointError(str(where, ": '", key, "' is ", value, "; expected ", expected, "."));
  }

  // The value, or null where the key is missing.
  const SortedJson& at(const std::string& key) const {
    static const SortedJson null;
    const auto found = object.find(key);
    return found == object.end() ? null : *found;
  }
};

namespace {

constexpr int kMaxDepth = 100;  // nlohmann's dump() recurses

bool is_int64(const SortedJson& value) {
  return value.is_number_integer() &&
         !(value.is_number_unsigned() &&
           value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()});
}

SortedJson parse_object(const std::string& text, const std::string& where) {
  const auto check_depth = [&](int depth, SortedJson::parse_event_t, SortedJson&) {
    if (depth > kMaxDepth) {
      throw CheckpointError(str(where, ": its JSON is nested deeper than ", kMaxDepth, " levels."));
    }
    return true;
  };
  // The parser takes a zero byte for the end of the text.
  if (text.find('\0') != std::string::npos) {
    throw CheckpointError(str(where, " is not JSON: it has zero bytes. Is the file damaged?"));
  }
  SortedJson parsed;
  try {
    parsed = SortedJson::parse(text, check_depth);
  } catch (const SortedJson::exception& error) {
    std::string what =
        error.what();  // "[json.exception.parse_error.101] parse error at line 1 ..."
    if (const size_t end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    if (what.size() > 300) what = what.substr(0, 300) + "...";
    throw CheckpointError(str(where, " is not JSON: ", what, "."));
  }
  if (!parsed.is_object()) {
    throw CheckpointError(str(where, ": its JSON is ", parsed.is_array() ? "an array" : "a ",
                              parsed.is_array() ? "" : parsed.type_name(),
                              "; expected an object."));
  }
  return parsed;
}

}  // namespace

JsonFile::JsonFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonFile::JsonFile(const Path& path)
    : impl_(new Impl{parse_object(read_file(path), path.string()), path.string()}) {}
JsonFile::~JsonFile() = default;
JsonFile::JsonFile(JsonFile&&) noexcept = default;
JsonFile::JsonFile(const JsonFile& other) : impl_(new Impl(*other.impl_)) {}

JsonFile JsonFile::parse(const std::string& text, const std::string& where) {
  return JsonFile(std::unique_ptr<Impl>(new Impl{parse_object(text, where), where}));
}

bool JsonFile::has(const std::string& key) const {
  return !impl_->at(key).is_null();
}

bool JsonFile::is_text(const std::string& key) const {
  return impl_->at(key).is_string();
}

std::vector<std::string> JsonFile::keys() const {
  std::vector<std::string> names;
  for (const auto& item : impl_->object.items()) names.push_back(item.key());
  return names;
}

int64_t JsonFile::integer(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  if (!is_int64(value)) impl_->fail(key, "an integer");
  return value.get<int64_t>();
}

double JsonFile::number(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  if (!value.is_number()) impl_->fail(key, "a number");
  return value.get<double>();
}

bool JsonFile::boolean(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  if (!value.is_boolean()) impl_->fail(key, "true or false");
  return value.get<bool>();
}

std::string JsonFile::text(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  if (!value.is_string()) impl_->fail(key, "a string");
  return value.get<std::string>();
}

std::vector<int64_t> JsonFile::integers(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  std::vector<int64_t> numbers;
  if (!value.is_array()) impl_->fail(key, "a list of integers");
  for (const SortedJson& item : value) {
    if (!is_int64(item)) impl_->fail(key, "a list of integers");
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

std::vector<std::string> JsonFile::texts(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  std::vector<std::string> strings;
  if (!value.is_array()) impl_->fail(key, "a list of strings");
  for (const SortedJson& item : value) {
    if (!item.is_string()) impl_->fail(key, "a list of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

JsonFile JsonFile::object(const std::string& key) const {
  const SortedJson& value = impl_->at(key);
  if (!value.is_object()) impl_->fail(key, "an object");
  return JsonFile(std::unique_ptr<Impl>(new Impl{value, str(impl_->where, ": '", key, "'")}));
}

int64_t JsonFile::integer_or(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}
double JsonFile::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}
bool JsonFile::boolean_or(const std::string& key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}
std::string JsonFile::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

const std::string& JsonFile::where() const {
  return impl_->where;
}
Json JsonFile::json() const {
  return impl_->object;
}

}  // namespace icedit
