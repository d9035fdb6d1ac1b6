#include "ranks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace icedit {
namespace {

using std::chrono::steady_clock;

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Only async-signal-safe calls after fork; the arguments are made before.
int start(const std::string& role, const std::string& output, const Ranks::Variables& variables) {
  std::vector<std::string> texts;
  for (char** variable = environ; *variable; ++variable) texts.emplace_back(*variable);
  for (const auto& [name, value] : variables) texts.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", flag = "--rank-role", name = role;
  char* const arguments[] = {program.data(), flag.data(), name.data(), nullptr};
  const int pid = fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) return pid;
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  execve(program.c_str(), arguments, environment.data());
  _exit(127);
}

}  // namespace

Ranks::Ranks(const std::string& role, int world_size, const Variables& variables,
             std::vector<int> only) {
  std::string name = (std::filesystem::temp_directory_path() / "icedit_ranks_XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
  folder_ = name;
  if (only.empty()) {
    only.resize(world_size);
    std::iota(only.begin(), only.end(), 0);
  }
  for (const int rank : only) {
    Variables all = variables;
    all["RANK"] = all["LOCAL_RANK"] = std::to_string(rank);
    all["WORLD_SIZE"] = std::to_string(world_size);
    all["OMP_NUM_THREADS"] = "1";
    pids_[rank] = start(role, file(rank), all);
  }
}

Ranks::~Ranks() {
  for (const auto& [rank, pid] : pids_) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Ranks::file(int rank) const {
  return folder_ + "/" + std::to_string(rank);
}

void Ranks::signal(int rank, int signal) const {
  kill(pids_.at(rank), signal);
}

bool Ranks::wait_for_output(int rank, const std::string& text) const {
  const auto until = steady_clock::now() + std::chrono::seconds(20);
  while (steady_clock::now() < until) {
    if (contents(file(rank)).find(text) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Whether it has; it is then forgotten.
bool Ranks::ended(int rank, double seconds, RankResult& result) {
  const int pid = pids_.at(rank);
  int status = 0;
  if (seconds > 60) kill(pid, SIGKILL);
  if (waitpid(pid, &status, WNOHANG) == 0) return false;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result = {code, contents(file(rank)), seconds};
  pids_.erase(rank);
  return true;
}

RankResult Ranks::wait(int rank) {
  const auto begin = steady_clock::now();
  RankResult result;
  while (!ended(rank, std::chrono::duration<double>(steady_clock::now() - begin).count(), result))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return result;
}

std::map<int, RankResult> Ranks::wait() {
  std::map<int, RankResult> results;
  while (!pids_.empty()) {
    const int rank = pids_.begin()->first;
    results[rank] = wait(rank);
  }
  return results;
}

Listener::Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
  listen(fd_, 100);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

Listener::~Listener() {
  close(fd_);
}

int free_port() {
  return Listener().port();
}

Ranks::Variables at_port(int port) {
  return {{"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", std::to_string(port)}};
}

}  // namespace icedit
