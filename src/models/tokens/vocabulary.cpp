#include "models/tokens/vocabulary.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/tokens/charsmap.h"
#include "models/tokens/settings.h"
#include "models/tokens/spiece.h"

namespace icedit {
namespace {

using Json = nlohmann::json;

Json read_json(const Path& path) {
  try {
    return Json::parse(read_file(path));
  } catch (const Json::exception& e) {
    throw CheckpointError(str(path.string(), ": is not JSON (", e.what(), "). Download it again."));
  }
}

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw CheckpointError(str(where, ": ", what, ". Download the file again."));
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  static const Json kNull;
  if (!object.is_object()) fail(where, str("expected an object with '", key, "'"));
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

int32_t token_id(const Json& value, const std::string& token, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{kMaxTokenId})
    fail(where,
         str("token '", token, "' has the id ", value.dump(), ", expected 0 to ", kMaxTokenId));
  return value.get<int32_t>();
}

TokenIds parse_ids(const Json& json, const std::string& where) {
  TokenIds ids;
  if (!json.is_object() || json.empty()) fail(where, "expected an object of tokens and their ids");
  ids.reserve(json.size());
  for (const auto& [token, id] : json.items()) ids.emplace(token, token_id(id, token, where));
  return ids;
}

// With the two directions in which texts are cut and padded, which are always the right end.
std::map<int64_t, AddedToken> added_tokens_of(const Json& tokenizer, const std::string& where) {
  for (const char* key : {"padding", "truncation"})
    if (const Json& side = member(tokenizer, key, where);
        !side.is_null() && member(side, "direction", where) == "Left")
      fail(where,
           str("its ", key, " is on the left, expected the right as in FLUX.1's tokenizers"));
  std::map<int64_t, AddedToken> tokens;
  const Json& list = member(tokenizer, "added_tokens", where);
  if (list.is_null()) return tokens;
  if (!list.is_array()) fail(where, "'added_tokens' is not a list");
  for (const Json& entry : list) {
    AddedToken token = read_added_token(JsonFile::parse(entry.dump(), where), /*special=*/false);
    const int32_t id = token_id(member(entry, "id", where), token.content, where);
    tokens[id] = std::move(token);
  }
  return tokens;
}

const Json& model_of(const Json& tokenizer, const char* type, const std::string& where) {
  const Json& model = member(tokenizer, "model", where);
  const Json& has = member(model, "type", where);
  if (!has.is_null() && has != type)
    fail(where, str("holds a model of type ", has.dump(), ", expected \"", type,
                    "\": is this the other encoder's tokenizer"));
  return model;
}

BpeVocabulary bpe_of_tokenizer_json(const Path& path) {
  const Json json = read_json(path);
  BpeVocabulary out;
  out.where = path.string();
  const Json& model = model_of(json, "BPE", out.where);
  out.ids = parse_ids(member(model, "vocab", out.where), out.where);
  const Json& merges = member(model, "merges", out.where);
  if (!merges.is_array()) fail(out.where, "'merges' is not a list");
  for (const Json& merge : merges) {
    if (merge.is_string())
      out.merges.push_back(parse_merge(merge.get<std::string>(), out.where));
    else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      out.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    else
      fail(out.where, str("the merge ", merge.dump(), " is not two tokens"));
  }
  out.added = added_tokens_of(json, out.where);
  return out;
}

// The normalisation table, alone or in a sequence.
std::string charsmap_of(const Json& tokenizer, const std::string& where) {
  const Json& normalizer = member(tokenizer, "normalizer", where);
  if (normalizer.is_null()) return {};
  const Json& list = member(normalizer, "normalizers", where);
  for (const Json& entry : list.is_array() ? list : Json::array({normalizer})) {
    const Json& charsmap = member(entry, "precompiled_charsmap", where);
    if (member(entry, "type", where) != "Precompiled" || charsmap.is_null()) continue;
    if (!charsmap.is_string()) fail(where, "'precompiled_charsmap' is not a string");
    return Charsmap::decode_base64(charsmap.get_ref<const std::string&>(), where);
  }
  return {};
}

UnigramVocabulary unigram_of_tokenizer_json(const Path& path) {
  const Json json = read_json(path);
  UnigramVocabulary out;
  out.where = path.string();
  const Json& vocab = member(model_of(json, "Unigram", out.where), "vocab", out.where);
  if (!vocab.is_array()) fail(out.where, "'vocab' is not a list of pieces and scores");
  out.pieces.reserve(vocab.size());
  for (const Json& piece : vocab) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number())
      fail(out.where, str("the piece ", piece.dump(), " is not a text and a score"));
    out.pieces.push_back({piece[0].get<std::string>(), piece[1].get<double>()});
  }
  out.charsmap = charsmap_of(json, out.where);
  out.added = added_tokens_of(json, out.where);
  return out;
}

UnigramVocabulary unigram_of_spiece_model(const Path& path) {
  UnigramVocabulary out;
  out.where = path.string();
  out.spiece_tokens.emplace();
  SpieceModel model = SpieceModel::parse(read_file(path), out.where);
  out.charsmap = std::move(model.charsmap);
  using Type = SpieceModel::Type;
  if (model.pieces.size() <= kUnknownPiece || model.pieces[kUnknownPiece].type != Type::kUnknown)
    fail(out.where, str("of its ", model.pieces.size(), " pieces number ", kUnknownPiece,
                        " is not the unknown one, as in every T5 tokenizer"));
  for (SpieceModel::Piece& piece : model.pieces) {
    if (piece.type == Type::kControl || piece.type == Type::kUserDefined)
      out.spiece_tokens->push_back(piece.text);
    out.pieces.push_back({std::move(piece.text), piece.score});
  }
  return out;
}

[[noreturn]] void fail_unavailable(const Path& folder, const char* kind, const std::string& missing,
                                   const char* expected) {
  const std::string found = std::filesystem::is_directory(folder) ? str("has no ", missing)
                            : std::filesystem::exists(folder)     ? "is not a folder"
                                                                  : "does not exist";
  throw ModelUnavailable(str(folder.string(), ": ", found, "; a ", kind,
                             " tokenizer's folder holds ", expected, ", as in a FLUX.1 download."));
}

}  // namespace

BpeVocabulary read_bpe_vocabulary(const Path& folder) {
  const auto has = [&](const char* name) {
    return std::filesystem::is_regular_file(folder / name);
  };
  if (has("tokenizer.json")) return bpe_of_tokenizer_json(folder / "tokenizer.json");
  if (!has("vocab.json") || !has("merges.txt"))
    fail_unavailable(folder, "CLIP",
                     has("vocab.json")   ? "merges.txt"
                     : has("merges.txt") ? "vocab.json"
                                         : "vocab.json and no merges.txt",
                     "vocab.json and merges.txt, or tokenizer.json (tokenizer/)");
  BpeVocabulary out;
  out.where = (folder / "vocab.json").string();
  out.ids = read_vocab_json(folder / "vocab.json");
  out.merges = read_merges_txt(folder / "merges.txt");
  return out;
}

UnigramVocabulary read_unigram_vocabulary(const Path& folder) {
  const auto has = [&](const char* name) {
    return std::filesystem::is_regular_file(folder / name);
  };
  if (has("tokenizer.json")) return unigram_of_tokenizer_json(folder / "tokenizer.json");
  if (!has("spiece.model"))
    fail_unavailable(folder, "T5", "spiece.model and no tokenizer.json",
                     "spiece.model or tokenizer.json (tokenizer_2/)");
  return unigram_of_spiece_model(folder / "spiece.model");
}

}  // namespace icedit
