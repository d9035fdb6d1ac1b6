#pragma once
// JSON documents as they go from function to function, and settings in them. Of nlohmann's library
// only the names: the whole of it stays in .cpp files.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/setting.h"
#include "io/files.h"

namespace icedit {

using Json = nlohmann::ordered_json;

// As text, in one line or indented; bytes that are no UTF-8 are replaced.
std::string dumped(const Json& json, int indent = -1);

std::string text_of(const Json& json);  // a text as it is, anything else dumped in one line
void write_json(const Path& file, const Json& json);  // indented; as write_text_atomically

// Sets what the object names, but for keys that are null. Throws UsageError for an unknown key or a
// bad value; `where` names the file.
void set_from_json(const std::vector<Setting>& settings, const Json& object,
                   const std::string& where);

// An object with every setting's value; null where it is unset.
Json json_of(const std::vector<Setting>& settings);

}  // namespace icedit
