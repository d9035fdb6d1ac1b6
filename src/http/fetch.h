#pragma once
// Files from elsewhere, for a server that is told to fetch what its clients name (libcurl): over
// https alone, from public addresses, without redirects, so that nobody reaches through it what
// only this machine can.
#include <atomic>
#include <chrono>
#include <string>

namespace icedit::http {

// Whether the internet routes to this address ("93.184.216.34", "2606:2800:220::1"): none of this
// machine, of private networks, of other kinds within other addresses.
bool is_public_address(const std::string& address);

class Fetcher {
 public:
  struct Rules {
    uint64_t most_bytes = uint64_t{50} << 20;
    std::chrono::milliseconds connect_time{5'000}, total_time{20'000};
    int at_once = 8;
    bool public_only = true;       // off in tests alone
    std::string authorities = {};  // a PEM file; "": those that the system trusts
  };
  explicit Fetcher(Rules rules) : rules_(std::move(rules)) {}

  const Rules& rules() const { return rules_; }

  // What lies at the URL. Waits for it, on any thread. Throws UsageError that says why not.
  std::string operator()(const std::string& url);

 private:
  const Rules rules_;
  std::atomic<int> running_{0};
};

}  // namespace icedit::http
