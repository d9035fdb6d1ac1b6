#include "models/tokens/settings.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"

namespace icedit {
namespace {

// transformers adds them in this order.
constexpr std::array kNames = {"bos_token", "eos_token", "unk_token", "pad_token"};
constexpr std::array kRead = {
    "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens", "extra_ids",
    "padding_side",         "split_special_tokens",      "truncation_side"};
// Of FLUX.1's folders and of those that transformers 5 writes. None changes an id.
constexpr std::array kWithoutEffect = {
    "add_prefix_space", "backend",        "clean_up_tokenization_spaces",
    "do_lower_case",    "errors",         "is_local",
    "legacy",           "max_length",     "local_files_only",
    "model_max_length", "name_or_path",   "processor_class",
    "sp_model_kwargs",  "tokenizer_file", "special_tokens_map_file",
    "tokenizer_class",  "unk_id",         "vocab_file"};

[[noreturn]] void fail(const JsonFile& json, const std::string& key, const std::string& expected) {
  throw CheckpointError(str(json.where(), ": '", key, "' should be ", expected,
                            ", as in FLUX.1's tokenizers. Download the file again."));
}

template <size_t N>
bool has(const std::array<const char*, N>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

void expect_known(const JsonFile& json) {
  for (const std::string& key : json.keys())
    if (json.has(key) && !has(kNames, key) && !has(kRead, key) && !has(kWithoutEffect, key))
      throw CheckpointError(str(json.where(), ": '", key,
                                "' is no setting of FLUX.1's tokenizers and may change the tokens;"
                                " remove it, or take FLUX.1's own folder"));
  for (const char* side : {"padding_side", "truncation_side"})
    if (json.text_or(side, "right") != "right") fail(json, side, "\"right\"");
  if (json.boolean_or("split_special_tokens", false)) fail(json, "split_special_tokens", "false");
}

JsonFile read_if_there(const Path& path) {
  return std::filesystem::exists(path) ? JsonFile(path) : JsonFile::parse("{}", path.string());
}

std::map<int64_t, AddedToken> read_declared(const JsonFile& json) {
  std::map<int64_t, AddedToken> tokens;
  for (const std::string& key : json.keys()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      fail(json, key, "a token's id");
    tokens[id] = read_added_token(json.object(key), /*special=*/false);
  }
  return tokens;
}

// The named tokens and the lists of more of them.
void read_special(const JsonFile& json, TokenizerSettings& settings) {
  expect_known(json);
  for (const char* name : kNames) {
    if (!json.has(name)) continue;
    settings.named[name] = json.is_text(name) ? AddedToken{.content = json.text(name)}
                                              : read_added_token(json.object(name), true);
    if (settings.named[name].content.empty()) fail(json, name, "a token that is not empty");
  }
  for (const char* list : {"additional_special_tokens", "extra_special_tokens"})
    if (json.has(list)) settings.extra = json.texts(list);
}

}  // namespace

AddedToken read_added_token(const JsonFile& json, bool special) {
  AddedToken token{.content = json.text("content"), .special = json.boolean_or("special", special)};
  token.normalized = json.boolean_or("normalized", !token.special);
  token.lstrip = json.boolean_or("lstrip", false);
  token.rstrip = json.boolean_or("rstrip", false);
  if (json.boolean_or("single_word", false)) fail(json, "single_word", "false");
  return token;
}

TokenizerSettings::TokenizerSettings(const Path& folder, std::map<std::string, AddedToken> names,
                                     std::map<int64_t, AddedToken> of_vocabulary)
    : named(std::move(names)), declared(std::move(of_vocabulary)) {
  const JsonFile config = read_if_there(folder / "tokenizer_config.json");
  read_special(config, *this);
  extra_ids = config.integer_or("extra_ids", extra_ids);
  if (extra_ids < 0 || extra_ids > 10000) fail(config, "extra_ids", "a number from 0 to 10000");
  if (config.has("added_tokens_decoder")) {
    declared = read_declared(config.object("added_tokens_decoder"));
    return;  // the other files repeat it
  }
  read_special(read_if_there(folder / "special_tokens_map.json"), *this);
  if (const Path older = folder / "added_tokens.json"; std::filesystem::exists(older))
    throw CheckpointError(
        str(older.string(), ": FLUX.1's tokenizers state their added tokens in",
            " tokenizer_config.json, under added_tokens_decoder; take FLUX.1's own folder"));
}

std::vector<AddedToken> TokenizerSettings::tokens(
    const std::function<int32_t(const std::string&)>& find, int64_t vocabulary_size) const {
  std::vector<AddedToken> out;
  const auto add = [&](AddedToken token) -> AddedToken& {  // the later one of a content counts
    const auto same = std::find_if(out.begin(), out.end(),
                                   [&](const AddedToken& t) { return t.content == token.content; });
    if (same != out.end()) return *same = std::move(token);
    return out.emplace_back(std::move(token));
  };
  for (const auto& [id, token] : declared) add(token);
  const std::vector<AddedToken> stated = out;
  const auto add_special = [&](AddedToken token) {
    for (const AddedToken& s : stated)
      if (s.content == token.content) token = s;
    add(token).special = true;
  };
  for (const char* name : kNames)
    if (const auto it = named.find(name); it != named.end()) add_special(it->second);
  if (extra)
    for (const std::string& content : *extra) add_special({.content = content});

  std::erase_if(out, [](const AddedToken& token) { return token.content.empty(); });
  for (AddedToken& token : out) {
    token.id = find(token.content);
    if (token.id < 0) token.id = static_cast<int32_t>(vocabulary_size++);
  }
  return out;
}

}  // namespace icedit
