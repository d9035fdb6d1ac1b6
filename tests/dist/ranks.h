#pragma once
// Starts the test binary again as several ranks, with the variables that torchrun would set, on the
// loopback interface.
#include <map>
#include <string>
#include <vector>

namespace icedit {

struct RankResult {
  int code = 0;  // exit status; 128 + the signal where one ended it
  std::string output;
  double seconds = 0;
};

class Ranks {
 public:
  using Variables = std::map<std::string, std::string>;

  // Runs `role` (see roles.cpp) as every rank of `world_size`, or only as those in `only`.
  Ranks(const std::string& role, int world_size, const Variables& variables,
        std::vector<int> only = {});
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  void signal(int rank, int signal) const;
  // Waits until `text` is in the rank's output so far; false after 20 s.
  bool wait_for_output(int rank, const std::string& text) const;
  // By rank. Ends what still runs after 60 s.
  std::map<int, RankResult> wait();
  RankResult wait(int rank);  // for this one alone

 private:
  std::string file(int rank) const;
  bool ended(int rank, double seconds, RankResult& result);

  std::string folder_;
  std::map<int, int> pids_;
};

// A port that was free a moment ago.
int free_port();

// Takes connections at a port of its own and never answers.
class Listener {
 public:
  Listener();
  ~Listener();
  int port() const { return port_; }

 private:
  int fd_, port_;
};
Ranks::Variables at_port(int port);

// What a started rank does; its exit status.
int run_role(const std::string& role);

}  // namespace icedit
