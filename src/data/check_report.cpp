// A DataReport for people and for programs.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/progress.h"
#include "data/check.h"
#include "io/utf8.h"

namespace icedit {
namespace {

constexpr size_t kSizesShown = 10;

struct Line {
  const char *key, *text;
  Findings DataReport::*findings;
};

const Line kLines[] = {
    {"unreadable", "cannot be read", &DataReport::unreadable},
    {"identical", "source = target", &DataReport::identical},
    {"misaligned", "source and target differ in size", &DataReport::misaligned},
    {"duplicates", "the same as a row before", &DataReport::duplicates},
    {"empty_instructions", "empty instruction", &DataReport::empty},
};

using Counted = std::pair<std::string, int64_t>;

// The most frequent first.
std::vector<Counted> counted_sizes(const DataReport& report) {
  std::vector<Counted> sizes;
  for (const auto& [size, count] : report.sizes)
    sizes.emplace_back(str(size.first, "x", size.second), count);
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const Counted& a, const Counted& b) { return a.second > b.second; });
  return sizes;
}

std::string table_line(const std::string& left, int64_t count) {
  std::string line = "  " + left;
  const std::string number = std::to_string(count);
  const size_t width = std::max<size_t>(48, line.size() + number.size() + 2);
  line.resize(width - number.size(), ' ');
  return line + number + "\n";
}

Json json_of(const std::vector<Counted>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

}  // namespace

std::string report_text(const DataReport& report, size_t shown) {
  std::string text = str(counted(report.rows, "row"), ", ",
                         bytes_text(double(report.picture_bytes)), " of pictures\n");
  for (const Line& line : kLines) {
    const Findings& findings = report.*line.findings;
    text += table_line(line.text, findings.count);
    for (size_t i = 0; i < std::min(shown, findings.rows.size()); ++i) {
      const auto& [where, reason] = findings.rows[i];
      text += str("      ", reason.starts_with(where) ? "" : where + ": ", reason, "\n");
    }
    if (findings.count > int64_t(shown))
      text += str("      and ", findings.count - int64_t(shown), " more (--json lists them)\n");
  }
  const std::vector<Counted> sizes = counted_sizes(report);
  if (!sizes.empty()) text += "sizes of the sources\n";
  for (size_t i = 0; i < std::min(kSizesShown, sizes.size()); ++i)
    text += table_line(sizes[i].first, sizes[i].second);
  if (sizes.size() > kSizesShown)
    text += str("  and ", sizes.size() - kSizesShown, " more sizes\n");
  if (!report.tasks.empty()) text += "tasks\n";
  for (const auto& [task, count] : report.tasks)
    text += table_line(task.empty() ? "(none)" : one_line(task), count);
  return text;
}

std::string report_json(const DataReport& report) {
  Json json = {{"rows", report.rows}, {"picture_bytes", report.picture_bytes}};
  for (const Line& line : kLines) {
    const Findings& findings = report.*line.findings;
    json[line.key] = {{"count", findings.count}, {"rows", icedit::json_of(findings.rows)}};
  }
  json["sizes"] = json_of(counted_sizes(report));
  json["tasks"] = json_of(report.tasks);
  return dumped(json, 2);
}

}  // namespace icedit
