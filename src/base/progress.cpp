#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/str.h"

namespace icedit {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kTerminalInterval = 0.1;  // seconds between two drawings
constexpr double kPlainInterval = 10.0;
constexpr int kBarWidth = 24;

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

std::string rate_text(double seconds_each, const std::string& unit) {
  char text[64];
  if (seconds_each >= 1) {
    std::snprintf(text, sizeof text, "%.1f s/%s", seconds_each, unit.c_str());
  } else if (seconds_each > 0) {
    std::snprintf(text, sizeof text, "%.1f %s/s", 1 / seconds_each, unit.c_str());
  } else {
    return "";
  }
  return text;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  char text[64];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  }
  return text;
}

std::string bytes_text(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) bytes /= 1024, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  if (terminal_ && drawn_) std::fputc('\n', stderr);
}

void Progress::update(int64_t done, const std::string& note) {
  if (log::level() == log::Level::kQuiet) return;
  done_ = done;
  const auto now = Clock::now();
  // The first unit pays for loading and warming up, so the rate counts from its end.
  if (first_ < 0 && done > 0) first_ = done, first_done_ = now;
  const bool last = total_ > 0 && done >= total_;
  const double interval = terminal_ ? kTerminalInterval : kPlainInterval;
  if (!last && drawn_ && seconds_between(last_draw_, now) < interval) return;
  // With nothing done yet it says at once that it begins.
  if (!last && !drawn_ && !terminal_ && done > 0 && seconds_between(start_, now) < interval) return;
  last_draw_ = now;
  draw(done, note, last);
}

void Progress::draw(int64_t done, const std::string& note, bool last) {
  drawn_ = true;
  const double elapsed = seconds_between(start_, Clock::now());
  const double since_first = first_ < 0 ? 0 : seconds_between(first_done_, Clock::now());
  const double each =
      first_ >= 0 && done > first_ ? since_first / static_cast<double>(done - first_) : 0;
  std::string line = what_ + " ";
  if (total_ > 0) {
    if (terminal_) {
      const auto filled = static_cast<int>(kBarWidth * done / total_);
      line += "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
    }
    line += str(done, "/", total_);
  } else {
    line += str(done);
  }
  if (each > 0) line += "  " + rate_text(each, unit_);
  if (total_ > 0) {
    if (last) {
      line += "  took " + duration_text(elapsed);
    } else if (each > 0) {
      line += "  " + duration_text(each * static_cast<double>(total_ - done)) + " left";
    }
  }
  if (!note.empty()) line += "  " + note;
  if (terminal_) {
    std::fprintf(stderr, "\r%s\033[K", line.c_str());
    std::fflush(stderr);
  } else {
    log::info(line);
  }
}

}  // namespace icedit
