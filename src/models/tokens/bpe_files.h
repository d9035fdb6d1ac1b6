#pragma once
// The two files of a BPE vocabulary: vocab.json, an object of tokens and their ids, and merges.txt,
// a merge a line.
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/files.h"

namespace icedit {

// An id beyond this is a broken file; the largest public vocabularies have 262,144 tokens.
constexpr int32_t kMaxTokenId = (1 << 22) - 1;

using TokenIds = std::unordered_map<std::string, int32_t>;
using BpeMerge = std::pair<std::string, std::string>;

// All throw CheckpointError; the readers also what read_file throws.
TokenIds read_vocab_json(const Path& path);
std::vector<BpeMerge> read_merges_txt(const Path& path);
BpeMerge parse_merge(const std::string& line, const std::string& where);

}  // namespace icedit
