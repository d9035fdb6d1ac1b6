#pragma once
// Which modules an adapter goes to, by peft's rules for target_modules.
#include <functional>
#include <string>
#include <vector>

namespace icedit {

// Whether a name matches a regular expression: `whole` from end to end (Python's re.fullmatch), or
// from its start (re.match). ICU's, since ICEdit's target expression looks behind ("(?<!single_)"),
// which std::regex cannot; Python's (?P<name>...) is understood. `what` names the expression in
// errors. Throws UsageError with the place of the mistake; what it returns, where an expression
// takes for ever.
std::function<bool(const std::string&)> pattern(const std::string& expression,
                                                const std::string& what, bool whole);

// An expression: the names that it matches from end to end (re.fullmatch); "all-linear" is every
// name. In the order of `names`. Throws UsageError for a bad expression, and when nothing matches,
// with the nearest names.
std::vector<std::string> match_targets(const std::vector<std::string>& names,
                                       const std::string& expression);

// A list: the names that are one of `targets` or end in "." and one of them. Throws UsageError when
// a target matches nothing, with the nearest names.
std::vector<std::string> match_targets(const std::vector<std::string>& names,
                                       const std::vector<std::string>& targets);

// The `count` names that need the fewest edits to become `wanted`, for error messages.
std::vector<std::string> nearest_names(const std::vector<std::string>& names,
                                       const std::string& wanted, size_t count = 3);

}  // namespace icedit
