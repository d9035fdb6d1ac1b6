#include "io/json.h"

#include <nlohmann/json.hpp>

namespace icedit {
namespace {

Given given(const Json& value) {
  if (value.is_null()) return {"", "", Given::Kind::kNothing};
  if (value.is_object()) return {"", dumped(value), Given::Kind::kGroup};
  if (!value.is_array()) return {"", text_of(value)};
  Given list{"", dumped(value), Given::Kind::kList};
  for (const Json& item : value) list.list.push_back(text_of(item));
  return list;
}

Json json_of(const SettingValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>)
          return nullptr;
        else
          return v;
      },
      value);
}

}  // namespace

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string text_of(const Json& json) {
  return json.is_string() ? json.get<std::string>() : dumped(json);
}

void write_json(const Path& file, const Json& json) {
  write_text_atomically(file, dumped(json, 2) + "\n");
}

void set_from_json(const std::vector<Setting>& settings, const Json& object,
                   const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (!value.is_null()) set_by_key(settings, where, key, given(value));
  }
}

Json json_of(const std::vector<Setting>& settings) {
  Json object = Json::object();
  for (const Setting& setting : settings) object[key_of(setting)] = json_of(setting.variable.get());
  return object;
}

}  // namespace icedit
