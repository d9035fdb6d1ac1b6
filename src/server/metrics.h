#pragma once
// What is counted, and shown to Prometheus.
#include <atomic>
#include <string>

#include "http/server.h"

namespace icedit::server {

struct Metrics {
  std::atomic<uint64_t> edits{0}, failed{0}, cancelled{0}, refused{0};  // jobs; refused: queue full
  std::atomic<uint64_t> steps{0}, step_microseconds{0};
  std::atomic<uint64_t> edit_microseconds{0};
  std::atomic<bool> running{false};
};

// In Prometheus' text format.
std::string metrics_text(const Metrics& metrics, const http::Counts& http, size_t queue,
                         uint64_t kept_bytes);

}  // namespace icedit::server
