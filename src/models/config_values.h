#pragma once
// Numbers of a component's config.json within the bounds of sense; errors (CheckpointError) name
// file, key and value.
#include <string>
#include <vector>

#include "io/json_file.h"

namespace icedit {

// From 1 to `most`; `fallback` where there is none.
int64_t up_to(const JsonFile& config, const std::string& key, int64_t fallback, int64_t most);
// 1 ... 2^24.
int64_t positive(const JsonFile& config, const std::string& key);
int64_t positive_or(const JsonFile& config, const std::string& key, int64_t fallback);
double positive_number_or(const JsonFile& config, const std::string& key, double fallback);

// The same kind of error unless the text under `key`, where there is one, is among `known`: the
// file is another model's.
void expect_kind(const JsonFile& config, const std::string& key,
                 const std::vector<std::string>& known);

// "FILE: 'KEY' is VALUE, expected EXPECTED".
[[noreturn]] void throw_config_error(const JsonFile& config, const std::string& key,
                                     const std::string& value, const std::string& expected);

}  // namespace icedit
