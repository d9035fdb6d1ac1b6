#pragma once
// Progress of long work on stderr: a bar with rate and time left on a terminal, a plain line now
// and then elsewhere, nothing with --quiet.
#include <chrono>
#include <cstdint>
#include <string>

namespace icedit {

class Progress {
 public:
  // what: "denoising"; unit: "step". total <= 0 means unknown.
  Progress(std::string what, int64_t total, std::string unit);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // done of total are done; note is shown behind the figures ("loss 0.123").
  void update(int64_t done, const std::string& note = "");

 private:
  void draw(int64_t done, const std::string& note, bool last);

  std::string what_, unit_;
  int64_t total_, first_ = -1, done_ = 0;
  bool terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point start_, first_done_, last_draw_;
};

// 75 -> "1:15", 3700 -> "1:01:40".
std::string duration_text(double seconds);
// 1536 -> "1.5 KiB".
std::string bytes_text(double bytes);

}  // namespace icedit
