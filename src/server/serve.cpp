#include "server/serve.h"

#include <csignal>
#include <iostream>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "server/api.h"
#include "server/notify.h"
#include "server/saved_results.h"

namespace icedit::server {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLook{100};  // how often a server at rest looks for a signal
constexpr milliseconds kLastAnswers{2000};

// From the signal on.
class Drain {
 public:
  explicit Drain(std::chrono::seconds most) : most_(most) {}

  // Throws Interrupted once the time is over.
  void check() {
    if (!interrupted()) return;
    if (!begin_) {
      begin_ = Clock::now();
      notify_supervisor("STOPPING=1");
      log::info("ending: no new jobs are taken");
    }
    if (Clock::now() - *begin_ >= most_) throw Interrupted("the server is ending");
  }

 private:
  const std::chrono::seconds most_;
  std::optional<Clock::time_point> begin_;
};

void expect_safe(const Options& o) {
  if (o.host == "localhost" || o.host == "::1" || o.host.starts_with("127.")) return;
  if (o.access.keys.empty() && !o.no_auth) {
    throw UsageError(str("--host ", o.host, " is reached by other machines: give an --api-key ",
                         "(or ICEDIT_API_KEY), or --no-auth to say that everybody may use it"));
  }
  if (o.access.hosts.empty()) {
    throw UsageError(str("--host ", o.host, " is reached by other machines: say with ",
                         "--allowed-host by which names, such as edit.example.org"));
  }
}

std::string url_of(const Options& o, uint16_t port) {
  const bool v6 = o.host.find(':') != std::string::npos;
  return str(o.certificate ? "https://" : "http://", v6 ? "[" : "", o.host, v6 ? "]" : "", ":",
             port, "/");
}

void log_end(const Job& job, Clock::time_point begin) {
  const JobStatus status = job.status();
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - begin).count();
  const char* end = status.state == JobState::kDone     ? "done"
                    : status.state == JobState::kFailed ? "failed"
                                                        : "cancelled";
  log::verbose(str(job.id, ": ", end, " after ", took, " ms"));
}

}  // namespace

int serve(const Options& options, ModelFiles files, ResidencyOptions residency,
          const MemoryLimit& memory) {
  expect_safe(options);
  std::signal(SIGPIPE, SIG_IGN);  // who has left is an error of the write, also in OpenSSL's
  Metrics metrics;
  Engine engine(options, std::move(files), std::move(residency), memory, metrics);
  std::optional<SavedResults> saved;
  if (!options.save_dir.empty()) saved.emplace(options.save_dir, options.save_bytes);
  JobQueue queue(size_t(options.queue), options.limits.bodies);
  JobStore store(std::chrono::minutes(options.keep_minutes), options.keep_bytes);
  http::Server* connections = nullptr;
  Api api({options, engine.facts(), queue, store, metrics, interrupted,
           [&connections] { return connections->counts(); }});
  http::Server server(
      options.host, uint16_t(options.port), options.limits,
      [&](const http::Request& head) { return api.gate(head); },
      [&](const ExchangePtr& exchange) { api.handle(exchange); }, Api::refusal,
      options.certificate);
  connections = &server;
  std::cout << "icedit edits with " << engine.facts().name << " at "
            << url_of(options, server.port()) << "  (Ctrl+C ends it)" << std::endl;
  notify_supervisor("READY=1");

  Drain drain{std::chrono::seconds(options.drain_seconds)};
  // The next jobs, as soon as there are any in this time. Whether there were.
  const auto run = [&](milliseconds most) {
    std::vector<std::shared_ptr<Job>> jobs;
    if (auto first = queue.pop(most)) jobs.push_back(std::move(first));
    if (jobs.empty()) return false;
    for (auto& more : queue.pop_fitting(size_t(options.batch) - 1, [&](const Job& job) {
           return Engine::go_together(*jobs.front(), job);
         }))
      jobs.push_back(std::move(more));
    const Clock::time_point begin = Clock::now();
    engine.run(jobs, [&] { drain.check(); });
    for (const auto& job : jobs) {
      log_end(*job, begin);
      if (saved && job->status().state == JobState::kDone) saved->add(job->status().results);
    }
    return true;
  };
  while (!interrupted()) {
    run(kLook);
    store.sweep();
  }
  // What was taken is done, while there is time; the rest ends with an error that says why.
  while (run(milliseconds(0))) continue;
  server.finish(kLastAnswers);
  return 0;
}

}  // namespace icedit::server
