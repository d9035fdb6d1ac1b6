#include "eval/summary.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "io/utf8.h"

namespace icedit {
namespace {

void add(TaskSummary& sum, const RowResult& r) {
  ++sum.rows;
  sum.judged += r.judgement.success.has_value();
  sum.successes += r.judgement.success.value_or(false);
  sum.l1 += r.metrics.l1;
  sum.l2 += r.metrics.l2;
  sum.psnr += r.metrics.psnr;
}

void to_means(TaskSummary& sum) {
  if (sum.rows == 0) return;
  const auto n = static_cast<double>(sum.rows);
  sum.l1 /= n;
  sum.l2 /= n;
  sum.psnr /= n;
}

double rate(const TaskSummary& s) {
  return s.judged == 0 ? 0 : static_cast<double>(s.successes) / static_cast<double>(s.judged);
}

std::string line_of(const TaskSummary& s, size_t width) {
  char figures[160];
  std::snprintf(figures, sizeof figures, "%6lld  %4lld / %-4lld %5.1f %%  %.4f  %.4f  %5.2f dB\n",
                static_cast<long long>(s.rows), static_cast<long long>(s.successes),
                static_cast<long long>(s.judged), 100 * rate(s), s.l1, s.l2, s.psnr);
  return one_line(s.task) + std::string(width - s.task.size(), ' ') + figures;
}

Json json_of(const TaskSummary& s) {
  Json json;
  if (!s.task.empty()) json["task"] = s.task;
  json["rows"] = s.rows;
  json["judged"] = s.judged;
  json["successes"] = s.successes;
  json["success_rate"] = rate(s);
  json["l1"] = s.l1;
  json["l2"] = s.l2;
  json["psnr"] = s.psnr;
  return json;
}

}  // namespace

Summary summarise(const std::vector<RowResult>& results) {
  Summary summary;
  for (const RowResult& r : results) {
    if (!r.error.empty()) {
      summary.unreadable.push_back(r);
      continue;
    }
    add(summary.total, r);
    if (r.task.empty()) continue;
    const auto same = [&r](const TaskSummary& s) { return s.task == r.task; };
    auto found = std::find_if(summary.tasks.begin(), summary.tasks.end(), same);
    if (found == summary.tasks.end()) {
      summary.tasks.emplace_back().task = r.task;
      found = summary.tasks.end() - 1;
    }
    add(*found, r);
  }
  for (TaskSummary& task : summary.tasks) to_means(task);
  to_means(summary.total);
  return summary;
}

std::string table_text(const Summary& summary) {
  size_t width = 5;
  for (const TaskSummary& s : summary.tasks) width = std::max(width, s.task.size());
  std::string text = "task" + std::string(width - 4, ' ') +
                     "  rows       success            L1      L2      PSNR\n";
  for (const TaskSummary& s : summary.tasks) text += line_of(s, width);
  TaskSummary total = summary.total;
  total.task = "all";
  text += line_of(total, width);
  if (!summary.unreadable.empty())
    text += counted(summary.unreadable.size(), "row") + " could not be read:\n";
  for (const RowResult& r : summary.unreadable) text += "  " + r.error + "\n";
  return text;
}

std::string summary_json(const Summary& summary) {
  Json json;
  json["total"] = json_of(summary.total);
  json["tasks"] = Json::array();
  for (const TaskSummary& s : summary.tasks) json["tasks"].push_back(json_of(s));
  json["unreadable"] = Json::array();
  for (const RowResult& r : summary.unreadable) {
    Json row;
    row["row"] = r.row;
    row["error"] = r.error;
    json["unreadable"].push_back(row);
  }
  return dumped(json, 2);
}

}  // namespace icedit
