#pragma once
// str("x is ", 3): the message of an error or a log line, put together from values.
#include <sstream>
#include <string>
#include <vector>

namespace icedit {

template <class T>
void write_value(std::ostream& out, const std::vector<T>& values) {
  out << '[';
  for (size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "") << values[i];
  out << ']';
}

template <class T>
void write_value(std::ostream& out, const T& value) {
  out << value;
}

template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (write_value(out, parts), ...);
  return out.str();
}

}  // namespace icedit
