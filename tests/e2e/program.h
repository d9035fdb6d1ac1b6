#pragma once
// Runs the built program as a user would, in a folder of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "io/files.h"
#include "io/image.h"
#include "io/no_links.h"
#include "io/temporary_folder.h"

namespace icedit::e2e {

namespace fs = std::filesystem;

struct Result {
  int code = -1;  // 128 + signal for a process that was killed
  std::string out, err;
};

class Program : public ::testing::Test {
 protected:
  Program() { fs::create_directory(folder_ / "work"); }

  // The working folder of every run; what the program must not leave behind would be here.
  Path work() const { return folder_ / "work"; }
  Path beside(const std::string& name) const { return folder_ / name; }

  struct Limits {
    rlim_t file_bytes = RLIM_INFINITY;  // stands for a full disk: writing beyond it fails
    std::string stdout_to;              // a file instead of the pipe
    std::map<std::string, std::string> environment = {};  // more variables
    std::string name = {};  // of the process, where several run at a time
    bool no_links = false;  // the file system knows no symbolic links
  };

  pid_t start(const std::vector<std::string>& arguments) { return start(arguments, Limits()); }
  pid_t start(const std::vector<std::string>& arguments, const Limits& limits) {
    const std::string out =
        limits.stdout_to.empty() ? (folder_ / (limits.name + "stdout")).string() : limits.stdout_to;
    const std::string err = (folder_ / (limits.name + "stderr")).string();
    std::vector<std::string> all = {ICEDIT_BINARY};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> values;
    for (std::string& argument : all) values.push_back(argument.data());
    values.push_back(nullptr);
    const std::string where = work().string();
    const pid_t child = fork();
    if (child != 0) return child;
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    if (chdir(where.c_str()) != 0) _exit(125);
    setenv("OMP_NUM_THREADS", "2", 0);
    for (const auto& [name, value] : limits.environment) setenv(name.c_str(), value.c_str(), 1);
    if (limits.no_links && !forbid_links()) _exit(124);
    if (limits.file_bytes != RLIM_INFINITY) {
      const rlimit limit = {limits.file_bytes, limits.file_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execv(ICEDIT_BINARY, values.data());
    _exit(126);
  }

  Result wait(pid_t child, const std::string& name = "") const {
    int status = 0;
    waitpid(child, &status, 0);
    Result result;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (fs::exists(folder_ / (name + "stdout")))
      result.out = read_file(folder_ / (name + "stdout"));
    result.err = read_file(folder_ / (name + "stderr"));
    return result;
  }

  Result run(const std::vector<std::string>& arguments) { return wait(start(arguments)); }
  Result run(const std::vector<std::string>& arguments, const Limits& limits) {
    return wait(start(arguments, limits));
  }

  std::string error_so_far() const {
    return fs::exists(folder_ / "stderr") ? read_file(folder_ / "stderr") : "";
  }

  // Every file below the working folder.
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(work())) {
      if (entry.is_regular_file()) names.insert(fs::relative(entry.path(), work()).string());
    }
    return names;
  }

  // Ends with this code and a message with this in it, and leaves no file.
  void expect_failure(const std::vector<std::string>& arguments, int code,
                      const std::string& message) {
    const std::set<std::string> before = files();
    const Result result = run(arguments);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_NE(result.err.find(message), std::string::npos)
        << "no '" << message << "' in: " << result.err;
    EXPECT_NE(result.err.find("icedit: error: "), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(files(), before);
  }

  Path copy(const Path& file, const std::string& name) {
    fs::create_directories((work() / name).parent_path());
    fs::copy_file(file, work() / name);
    return work() / name;
  }
  Path write(const std::string& name, const std::string& text) {
    fs::create_directories((work() / name).parent_path());
    std::ofstream(work() / name, std::ios::binary) << text;
    return work() / name;
  }

 private:
  TemporaryFolder folder_;
};

inline Path asset(const std::string& name) {
  return Path(ICEDIT_SOURCE) / "assets" / name;
}
inline std::string golden(const std::string& name) {
  return (Path(ICEDIT_GOLDENS) / name).string();
}
inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace icedit::e2e
