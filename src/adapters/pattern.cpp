#include "adapters/pattern.h"

#include <unicode/regex.h>

#include "base/error.h"

namespace icedit {

struct Pattern::State {
  std::string expression, what;
  std::unique_ptr<icu::RegexPattern> compiled;

  std::unique_ptr<icu::RegexMatcher> matcher(const icu::UnicodeString& text) const {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::RegexMatcher> matcher(compiled->matcher(text, status));
    // An expression that backtracks for ever ends with an error; ICU's unit is about a millisecond.
    if (U_SUCCESS(status)) matcher->setTimeLimit(1000, status);
    check(status);
    return matcher;
  }
  void check(UErrorCode status) const {
    if (U_SUCCESS(status)) return;
    throw UsageError(str(what, ": the expression '", expression,
                         "' cannot be matched: ", u_errorName(status),
                         status == U_REGEX_TIME_OUT ? "; it takes for ever, make it simpler" : ""));
  }
};

namespace {

std::string without_python_names(std::string expression) {
  for (size_t at = 0; (at = expression.find("(?P<", at)) != std::string::npos; ++at)
    expression.erase(at + 2, 1);
  return expression;
}

}  // namespace

Pattern::Pattern(const std::string& expression, const std::string& what)
    : state_(std::make_unique<State>()) {
  state_->expression = expression;
  state_->what = what;
  UErrorCode status = U_ZERO_ERROR;
  UParseError place;
  const auto text = icu::UnicodeString::fromUTF8(without_python_names(expression));
  state_->compiled.reset(icu::RegexPattern::compile(text, 0, place, status));
  if (U_SUCCESS(status)) return;
  throw UsageError(str(what, ": '", expression, "' is no regular expression (", u_errorName(status),
                       " near character ", place.offset, ")"));
}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

bool Pattern::matches_all(const std::string& text) const {
  UErrorCode status = U_ZERO_ERROR;
  const auto wide = icu::UnicodeString::fromUTF8(text);
  const bool found = state_->matcher(wide)->matches(status);
  state_->check(status);
  return found;
}

bool Pattern::matches_start(const std::string& text) const {
  UErrorCode status = U_ZERO_ERROR;
  const auto wide = icu::UnicodeString::fromUTF8(text);
  const bool found = state_->matcher(wide)->lookingAt(status);
  state_->check(status);
  return found;
}

}  // namespace icedit
