#include "models/tokens/settings.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxLength = 1 << 20;

// transformers adds the named tokens in this order, then those that a model has of its own.
constexpr std::array kStandardNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

Json read_object(const Path& path) {
  if (!std::filesystem::exists(path)) return Json::object();
  try {
    Json json = Json::parse(read_text(path));
    if (json.is_object()) return json;
  } catch (const Json::exception& e) {
    throw CheckpointError(str(path.string(), ": is not JSON (", e.what(), "). Download it again."));
  }
  throw CheckpointError(
      str(path.string(), ": expected a JSON object. Is this a tokenizer's file?"));
}

[[noreturn]] void fail(const Path& path, const std::string& key, const std::string& expected) {
  throw CheckpointError(
      str(path.string(), ": '", key, "' should be ", expected, ". Download the file again."));
}

bool flag(const Json& object, const char* key, bool fallback, const Path& path) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  if (!it->is_boolean()) fail(path, key, "true or false");
  return it->get<bool>();
}

// A token is its text, or an object with its text and how it is looked for.
AddedToken parse_token(const Json& value, const std::string& key, bool special, const Path& path) {
  AddedToken token;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    return token;
  }
  if (!value.is_object() || !value.contains("content") || !value["content"].is_string())
    fail(path, key, "a token: a string, or an object with 'content'");
  token.content = value["content"].get<std::string>();
  token.special = special || flag(value, "special", false, path);
  token.normalized = flag(value, "normalized", !token.special, path);
  token.lstrip = flag(value, "lstrip", false, path);
  token.rstrip = flag(value, "rstrip", false, path);
  token.single_word = flag(value, "single_word", false, path);
  return token;
}

std::vector<AddedToken> parse_tokens(const Json& value, const std::string& key, const Path& path) {
  if (!value.is_array()) fail(path, key, "a list of tokens");
  std::vector<AddedToken> tokens;
  for (const Json& token : value) tokens.push_back(parse_token(token, key, true, path));
  return tokens;
}

bool is_side_left(const Json& config, const char* key, bool fallback, const Path& path) {
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return fallback;
  if (*it != "left" && *it != "right") fail(path, key, "\"left\" or \"right\"");
  return *it == "left";
}

// The tokens that a file names. Keys like add_bos_token are switches.
void read_named(const Json& config, bool special, TokenizerSettings& settings, const Path& path) {
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token") || !(value.is_string() || value.is_object())) continue;
    settings.named[key] = {parse_token(value, key, special, path), value.is_string()};
    if (settings.content(key).empty()) fail(path, key, "a token that is not empty");
  }
}

// Tokens under names of the model's own.
void read_own(const Json& tokens, TokenizerSettings& settings, const Path& path) {
  for (const auto& [key, value] : tokens.items())
    settings.named[key] = {parse_token(value, key, true, path), value.is_string()};
}

// A list; an object maps names of the model's own to tokens.
void read_extra(const Json& config, TokenizerSettings& settings, const Path& path) {
  const auto given = [&](const char* key) {
    const auto it = config.find(key);
    return it == config.end() || it->is_null() ? nullptr : &*it;
  };
  const Json* extra = given("extra_special_tokens");
  const Json* additional = given("additional_special_tokens");
  if (extra != nullptr && extra->is_object())
    read_own(*extra, settings, path);
  else if (extra != nullptr && !extra->empty())
    settings.extra = parse_tokens(*extra, "extra_special_tokens", path);
  else if (additional != nullptr)
    settings.extra = parse_tokens(*additional, "additional_special_tokens", path);
  else if (extra != nullptr)
    settings.extra.emplace();
}

void read_declared(const Json& declared, TokenizerSettings& settings, const Path& path) {
  if (!declared.is_object()) fail(path, "added_tokens_decoder", "an object");
  for (const auto& [key, value] : declared.items()) {
    if (key.empty() || key.size() > 9 || !std::all_of(key.begin(), key.end(), ::isdigit))
      fail(path, str("added_tokens_decoder.", key), "under a token's id");
    settings.declared[std::stoll(key)] = parse_token(value, key, false, path);
  }
}

// Files of older versions, which say by content where tokenizer_config.json says by id.
void read_older(const Path& folder, const std::vector<AddedToken>& json_tokens,
                TokenizerSettings& settings) {
  const Path map_path = folder / "special_tokens_map.json";
  const Json map = read_object(map_path);
  read_named(map, true, settings, map_path);
  if (const auto it = map.find("extra_special_tokens"); it != map.end() && it->is_array()) {
    if (!settings.extra) settings.extra.emplace();
    for (AddedToken& token : parse_tokens(*it, it.key(), map_path))
      if (std::find(settings.extra->begin(), settings.extra->end(), token) == settings.extra->end())
        settings.extra->push_back(std::move(token));
  } else if (it != map.end() && it->is_object()) {
    read_own(*it, settings, map_path);
  }
  if (const auto it = map.find("additional_special_tokens"); it != map.end() && !it->is_null())
    settings.additional = parse_tokens(*it, it.key(), map_path);

  const Path added_path = folder / "added_tokens.json";
  const Json added = read_object(added_path);
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_unsigned() || id > kMaxTokenId) fail(added_path, content, "a token's id");
    const auto has_content = [&](const AddedToken& t) { return t.content == content; };
    const bool special =
        std::any_of(settings.named.begin(), settings.named.end(),
                    [&](const auto& entry) { return has_content(entry.second.token); }) ||
        (settings.extra &&
         std::any_of(settings.extra->begin(), settings.extra->end(), has_content));
    settings.declared[id.get<int64_t>()] = {
        .content = content, .special = special, .normalized = !special};
  }
  for (const AddedToken& token : json_tokens) settings.declared[token.id] = token;
}

}  // namespace

TokenizerSettings::TokenizerSettings(const Path& folder, const TokenizerJson& json) {
  const Path path = folder / "tokenizer_config.json";
  const Json config = read_object(path);
  read_named(config, false, *this, path);
  read_extra(config, *this, path);
  if (const auto it = config.find("extra_ids"); it != config.end() && !it->is_null()) {
    if (!it->is_number_integer() || *it < 0 || *it > 10000)
      fail(path, "extra_ids", "a number from 0 to 10000");
    extra_ids = it->get<int64_t>();
  }
  split_special_tokens = flag(config, "split_special_tokens", false, path);
  pads_left = is_side_left(config, "padding_side", json.pads_left, path);
  truncates_left = is_side_left(config, "truncation_side", json.truncates_left, path);

  if (const auto it = config.find("added_tokens_decoder"); it != config.end())
    read_declared(*it, *this, path);
  else
    read_older(folder, json.added, *this);
  for (auto& [name, entry] : named)
    for (const auto& [id, token] : declared)
      if (token.content == entry.token.content) entry = {token, false};
}

void TokenizerSettings::set_default(const std::string& name, const std::string& content) {
  named.try_emplace(name, Named{{.content = content}, true});
}

const std::string& TokenizerSettings::content(const std::string& name) const {
  return named.at(name).token.content;
}

std::vector<AddedToken> TokenizerSettings::tokens(
    const std::function<int32_t(const std::string&)>& find, int64_t vocabulary_size) const {
  std::vector<Named> all;
  for (const auto& [id, token] : declared) all.push_back({token, false});
  const size_t declared_count = all.size();
  const auto is_declared = [&](const AddedToken& token) {
    return std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(declared_count),
                       [&](const Named& n) { return n.token.content == token.content; });
  };
  const auto add = [&](const Named& entry) {
    if (!is_declared(entry.token) && std::find(all.begin(), all.end(), entry) == all.end())
      all.push_back(entry);
  };
  for (const char* name : kStandardNames)
    if (const auto it = named.find(name); it != named.end()) add(it->second);
  for (const auto& [name, entry] : named)
    if (std::find(kStandardNames.begin(), kStandardNames.end(), name) == kStandardNames.end())
      add(entry);
  for (const AddedToken& token : extra.value_or(std::vector<AddedToken>())) add({token, true});

  std::vector<AddedToken> out;
  int64_t next_id = vocabulary_size;
  for (auto& [token, plain] : all) {
    if (token.content.empty()) continue;
    token.special = token.special || std::any_of(named.begin(), named.end(), [&](const auto& n) {
                      return n.second.token.content == token.content;
                    });
    const auto same = std::find_if(out.begin(), out.end(),
                                   [&](const AddedToken& t) { return t.content == token.content; });
    token.id = same != out.end() ? same->id : find(token.content);
    if (token.id < 0) token.id = static_cast<int32_t>(next_id++);
    out.push_back(token);
  }
  return out;
}

std::vector<int32_t> TokenFrame::whole(const std::vector<int32_t>& body) const {
  std::vector<int32_t> ids;
  ids.reserve(body.size() + 2);
  if (bos) ids.push_back(*bos);
  ids.insert(ids.end(), body.begin(), body.end());
  ids.push_back(eos);
  return ids;
}

std::vector<int32_t> TokenFrame::fixed(const std::vector<int32_t>& body, int64_t length) const {
  const int64_t around = bos ? 2 : 1;
  if (length < around || length > kMaxLength)
    throw UsageError(str("a text of ", length, " tokens: expected ", around, " to ", kMaxLength,
                         ". FLUX.1 uses 77 for CLIP and up to 512 for T5."));
  const auto room = static_cast<size_t>(length - around);
  std::vector<int32_t> kept = body;
  if (body.size() > room && truncates_left)
    kept.assign(body.end() - static_cast<std::ptrdiff_t>(room), body.end());
  else if (body.size() > room)
    kept.resize(room);
  std::vector<int32_t> ids = whole(kept);
  const auto missing = static_cast<size_t>(length) - ids.size();
  ids.insert(pads_left ? ids.begin() : ids.end(), missing, pad);
  return ids;
}

}  // namespace icedit
