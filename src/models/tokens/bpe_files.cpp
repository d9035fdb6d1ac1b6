#include "models/tokens/bpe_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {
namespace {

using SortedJson = nlohmann::json;

[[noreturn]] void fail_bpe_file(const std::string& where, const std::string& what) {
  throw CheckpointError(str(where, ": ", what, ". Download the file again."));
}

// vocab.json as it is read, without a tree of 49,408 nodes in between: that took half of the time
// to load CLIP's.
class VocabReader : public nlohmann::json_sax<SortedJson> {
 public:
  explicit VocabReader(const std::string& where) : where_(where) { ids_.reserve(50000); }
  TokenIds take() { return std::move(ids_); }

  bool start_object(size_t) override {
    if (depth_++ != 0) fail_here();
    return true;
  }
  bool key(std::string& token) override {
    token_ = std::move(token);
    return true;
  }
  bool number_unsigned(uint64_t id) override {
    if (depth_ != 1) fail_here();
    if (id > uint64_t{kMaxTokenId})
      fail_bpe_file(where_,
                    str("token '", token_, "' has the id ", id, ", expected 0 to ", kMaxTokenId));
    ids_[std::move(token_)] = static_cast<int32_t>(id);
    return true;
  }
  bool end_object() override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    throw CheckpointError(str(where_, ": is not JSON (", e.what(), "). Download it again."));
  }
  bool null() override { return fail_here(); }
  bool boolean(bool) override { return fail_here(); }
  bool number_integer(int64_t) override { return fail_here(); }
  bool number_float(double, const std::string&) override { return fail_here(); }
  bool string(std::string&) override { return fail_here(); }
  bool binary(SortedJson::binary_t&) override { return fail_here(); }
  bool start_array(size_t) override { return fail_here(); }
  bool end_array() override { return fail_here(); }

 private:
  bool fail_here() const {
    fail_bpe_file(where_,
                  str("expected an object of tokens and their ids, and '", token_, "' has none"));
  }

  const std::string& where_;
  TokenIds ids_;
  std::string token_;
  int depth_ = 0;
};

}  // namespace

TokenIds read_vocab_json(const Path& path) {
  const std::string where = path.string();
  VocabReader reader(where);
  SortedJson::sax_parse(read_file(path), &reader);
  TokenIds ids = reader.take();
  if (ids.empty())
    fail_bpe_file(where, "expected an object of tokens and their ids, and it is empty");
  return ids;
}

BpeMerge parse_merge(const std::string& line, const std::string& where) {
  const size_t space = line.find(' ');
  if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
    fail_bpe_file(where, str("the merge '", line, "' is not two tokens with a space between"));
  return {line.substr(0, space), line.substr(space + 1)};
}

std::vector<BpeMerge> read_merges_txt(const Path& path) {
  std::vector<BpeMerge> merges;
  const std::string text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.starts_with("#version")) continue;
    merges.push_back(parse_merge(line, path.string()));
  }
  return merges;
}

}  // namespace icedit
