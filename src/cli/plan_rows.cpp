#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/process.h"
#include "base/progress.h"
#include "base/shell.h"
#include "cli/plan.h"
#include "cli/table.h"
#include "io/json.h"

namespace icedit::cli {
namespace {

const PlanRow* fastest_that_fits(const std::vector<PlanRow>& rows, uint64_t available) {
  const PlanRow* best = nullptr;
  for (const PlanRow& row : rows) {
    if (row.peak <= available && (best == nullptr || row.seconds < best->seconds)) best = &row;
  }
  return best;
}

std::string seconds_text(double seconds) {
  if (seconds >= 60) return duration_text(seconds);
  char text[32];
  std::snprintf(text, sizeof text, seconds < 1 ? "%.3f s" : "%.1f s", seconds);
  return text;
}

}  // namespace

std::string with_flags(const std::vector<std::string>& words, const std::string& flags) {
  const auto end = std::find(words.begin(), words.end(), "--");
  std::string text;
  const auto add = [&](auto from, auto to) {
    for (; from != to; ++from)
      if (*from != "--json") text += " " + shell_quoted(*from);
  };
  add(words.begin(), end);
  text += flags;
  add(end, words.end());
  return text;
}

void print_plan(const std::vector<PlanRow>& rows, const std::string& what,
                const CommandWith& command, bool json, double reading) {
  const uint64_t available = available_memory_bytes();
  const PlanRow* best = fastest_that_fits(rows, available);
  if (json) {
    Json out;
    out["available_bytes"] = available;
    out["reading_seconds"] = reading;
    out["rows"] = Json::array();
    for (const PlanRow& row : rows) {
      out["rows"].push_back({{"precision", row.precision},
                             {"residency", row.residency},
                             {"peak_bytes", row.peak},
                             {"seconds", row.seconds},
                             {"fits", row.peak <= available},
                             {"flags", row.flags}});
    }
    if (best != nullptr) out["command"] = command(best->flags);
    std::cout << dumped(out, 2) << "\n";
    return;
  }
  std::vector<size_t> widths = {12, 28, 12, 12, 6};
  for (const PlanRow& row : rows) widths[0] = std::max(widths[0], row.precision.size());
  print_row({"precision", "in memory", "at most", "a " + what, "fits", "flags"}, widths);
  for (const PlanRow& row : rows) {
    print_row({row.precision, row.residency, bytes_text(double(row.peak)),
               seconds_text(row.seconds), row.peak <= available ? "yes" : "no", row.flags},
              widths);
  }
  if (reading >= 1) {
    std::cout << "\n"
              << seconds_text(reading)
              << " more where the model's files have to be read from the disk\n";
  }
  std::cout << "\n" << bytes_text(double(available)) << " available";
  if (best == nullptr)
    std::cout << ": nothing of this fits; close other programs, or make a smaller " << what << "\n";
  else
    std::cout << "; the fastest that fits:\n  " << command(best->flags) << "\n";
}

}  // namespace icedit::cli
