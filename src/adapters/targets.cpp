#include "adapters/targets.h"

#include <unicode/regex.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "base/error.h"

namespace icedit {
namespace {

// Insertions, deletions and changes between `a` and `b`, or the nearest end of `b`.
size_t edit_distance(const std::string& a, const std::string& b, bool any_end) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = any_end ? 0 : j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

bool is_suffix(const std::string& name, const std::string& target) {
  return name == target || name.ends_with("." + target);
}

std::vector<std::string> nearest(const std::vector<std::string>& names, const std::string& wanted,
                                 size_t count, bool any_end) {
  const std::string cut = wanted.substr(0, 200);  // the time is the product of the lengths
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const auto& name : names) ranked.emplace_back(edit_distance(cut, name, any_end), name);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<std::string> found;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) found.push_back(ranked[i].second);
  return found;
}

// What an expression means letter by letter, for the nearest names only: ".*attn\\.to_q" is
// "attn.to_q".
std::string plain_letters(const std::string& expression) {
  std::string letters;
  for (size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      letters += expression[++i];
    } else if (c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0) {
      letters += c;
    }
  }
  return letters;
}

[[noreturn]] void fail(const std::vector<std::string>& names, const std::string& target) {
  throw UsageError(str("target_modules: '", target, "' matches none of the model's ", names.size(),
                       " modules; the nearest are ",
                       nearest(names, plain_letters(target), 3, true)));
}

std::string without_python_names(std::string expression) {
  for (size_t at = 0; (at = expression.find("(?P<", at)) != std::string::npos; ++at)
    expression.erase(at + 2, 1);
  return expression;
}

}  // namespace

std::function<bool(const std::string&)> pattern(const std::string& expression,
                                                const std::string& what, bool whole) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError place;
  const std::shared_ptr<const icu::RegexPattern> compiled(icu::RegexPattern::compile(
      icu::UnicodeString::fromUTF8(without_python_names(expression)), 0, place, status));
  if (U_FAILURE(status)) {
    throw UsageError(str(what, ": '", expression, "' is no regular expression (",
                         u_errorName(status), " near character ", place.offset, ")"));
  }
  return [=](const std::string& text) {
    UErrorCode failed = U_ZERO_ERROR;
    const auto wide = icu::UnicodeString::fromUTF8(text);
    const std::unique_ptr<icu::RegexMatcher> matcher(compiled->matcher(wide, failed));
    // An expression that backtracks for ever ends with an error; ICU's unit is about a millisecond.
    if (U_SUCCESS(failed)) matcher->setTimeLimit(1000, failed);
    const bool found =
        U_SUCCESS(failed) && (whole ? matcher->matches(failed) : matcher->lookingAt(failed));
    if (U_SUCCESS(failed)) return found;
    throw UsageError(str(what, ": the expression '", expression,
                         "' cannot be matched: ", u_errorName(failed),
                         failed == U_REGEX_TIME_OUT ? "; it takes for ever, make it simpler" : ""));
  };
}

std::vector<std::string> nearest_names(const std::vector<std::string>& names,
                                       const std::string& wanted, size_t count) {
  return nearest(names, wanted, count, false);
}

std::vector<std::string> match_targets(const std::vector<std::string>& names,
                                       const std::string& expression) {
  if (expression == "all-linear") return names;
  const auto matches = pattern(expression, "target_modules", /*whole=*/true);
  std::vector<std::string> matched;
  std::copy_if(names.begin(), names.end(), std::back_inserter(matched), matches);
  if (matched.empty()) fail(names, expression);
  return matched;
}

std::vector<std::string> match_targets(const std::vector<std::string>& names,
                                       const std::vector<std::string>& targets) {
  if (targets.empty())
    throw UsageError("target_modules: the list is empty; name the modules to adapt");
  const auto is_used = [&](const std::string& target) {
    return std::any_of(names.begin(), names.end(),
                       [&](const auto& name) { return is_suffix(name, target); });
  };
  const auto missing = std::find_if_not(targets.begin(), targets.end(), is_used);
  if (missing != targets.end()) fail(names, *missing);
  std::vector<std::string> matched;
  std::copy_if(names.begin(), names.end(), std::back_inserter(matched), [&](const auto& name) {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const auto& target) { return is_suffix(name, target); });
  });
  return matched;
}

}  // namespace icedit
