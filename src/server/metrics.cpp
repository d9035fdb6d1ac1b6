#include "server/metrics.h"

#include "base/process.h"
#include "base/str.h"
#include "base/version.h"

namespace icedit::server {
namespace {

template <class T>
std::string metric(const char* name, const char* type, const char* help, T value) {
  return str("# HELP icedit_", name, " ", help, "\n# TYPE icedit_", name, " ", type, "\nicedit_",
             name, " ", value, "\n");
}

double seconds(const std::atomic<uint64_t>& microseconds) {
  return double(microseconds) / 1e6;
}

}  // namespace

std::string metrics_text(const Metrics& m, const http::Counts& http, size_t queue,
                         uint64_t kept_bytes) {
  return str(
      "# HELP icedit_info The program.\n# TYPE icedit_info gauge\nicedit_info{version=\"",
      version(), "\"} 1\n", metric("queue_jobs", "gauge", "Jobs that wait.", queue),
      metric("running_jobs", "gauge", "Jobs that run.", m.running ? 1 : 0),
      metric("edits_total", "counter", "Jobs that ended with pictures.", m.edits.load()),
      metric("edits_failed_total", "counter", "Jobs that ended with an error.", m.failed.load()),
      metric("edits_cancelled_total", "counter", "Jobs that were cancelled.", m.cancelled.load()),
      metric("edits_refused_total", "counter", "Jobs that found no place in the queue.",
             m.refused.load()),
      metric("edit_seconds_total", "counter", "Time that edits took.",
             seconds(m.edit_microseconds)),
      metric("steps_total", "counter", "Denoising steps.", m.steps.load()),
      metric("step_seconds_total", "counter", "Time that steps took.",
             seconds(m.step_microseconds)),
      metric("http_connections", "gauge", "Connections that are open.", http.connections),
      metric("http_requests_total", "counter", "Requests.", http.requests),
      metric("http_refused_total", "counter", "Connections beyond the limits.", http.refused),
      metric("http_malformed_total", "counter", "What was no HTTP, or beyond a limit.",
             http.malformed),
      metric("kept_bytes", "gauge", "Bytes of jobs and their pictures.", kept_bytes),
      metric("resident_memory_bytes", "gauge", "Memory that the process holds.",
             resident_memory_bytes()),
      metric("peak_memory_bytes", "gauge", "The most that it held.", peak_memory_bytes()));
}

}  // namespace icedit::server
