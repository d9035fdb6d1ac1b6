#pragma once
// Regular expressions over module names. ICU's, since ICEdit's target expression looks behind
// ("(?<!single_)"), which std::regex cannot.
#include <memory>
#include <string>

namespace icedit {

class Pattern {
 public:
  // `what` names the expression in errors ("target_modules"). Python's (?P<name>...) is understood.
  // Throws UsageError with the place of the mistake.
  Pattern(const std::string& expression, const std::string& what);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  bool matches_all(const std::string& text) const;    // Python's re.fullmatch
  bool matches_start(const std::string& text) const;  // Python's re.match

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace icedit
