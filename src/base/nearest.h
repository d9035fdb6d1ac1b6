#pragma once
// "did you mean ...?"
#include <string>
#include <vector>

namespace icedit {

// Of `known`, the word with the fewest slips (a letter wrong, missing, too many, or two swapped)
// from `word`; "" when more than a third of the letters would have to change.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

// "; did you mean 'WORD'?", or "" when nothing is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& known);

}  // namespace icedit
