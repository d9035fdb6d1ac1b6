#include "edit/threads.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "base/process.h"
#include "base/tensor.h"

namespace icedit {
namespace {

using std::chrono::milliseconds;

// Other processes that want a core each.
class Busy {
 public:
  explicit Busy(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        for (volatile bool busy = true; busy;) {
        }
      }
      children_.push_back(child);
    }
  }
  ~Busy() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::vector<pid_t> children_;
};

// Whether the second thread turns round where it has nothing to do: the process takes CPU time
// while the first one sleeps, after any of some operators. (Where others want the cores, not after
// each.)
bool spins() {
  const Tensor x = at::ones({1 << 20});
  std::clock_t most = 0;
  for (int i = 0; i < 10; ++i) {
    x.sum();
    const std::clock_t start = std::clock();
    std::this_thread::sleep_for(milliseconds(40));
    most = std::max(most, std::clock() - start);
  }
  return most > CLOCKS_PER_SEC / 2000;
}

bool is_brief() {
  return !spins();
}

// On a busy machine a thread that was started may have to wait before it does something.
template <class Condition>
bool soon(const Condition& holds) {
  for (int i = 0; i < 20; ++i)
    if (holds()) return true;
  return false;
}

class TwoThreads : public ::testing::Test {
 protected:
  void SetUp() override {
    if (available_cores() < 2) GTEST_SKIP() << "one core: libgomp never waits long";
    for (const char* variable : {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"})
      if (std::getenv(variable) != nullptr) GTEST_SKIP() << variable << " is set";
    at::set_num_threads(2);
  }
  void TearDown() override { at::set_num_threads(before_); }

 private:
  const int before_ = at::get_num_threads();
};

TEST(FreeCores, OthersTakeTheirs) {
  EXPECT_EQ(cores_left(2, 2, 0), 2);
  EXPECT_EQ(cores_left(2, 2, 1), 1);
  EXPECT_EQ(cores_left(2, 2, 6), 1);
  EXPECT_EQ(cores_left(8, 16, 4), 8);   // two logical CPUs a core
  EXPECT_EQ(cores_left(2, 64, 30), 2);  // a part of a machine
}

TEST(FreeCores, OneWhereEveryCpuIsBusy) {
  const Busy others(static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(free_cores(), 1);
}

TEST_F(TwoThreads, WaitBrieflyWhileSleepersAreKept) {
  EXPECT_TRUE(soon(spins));
  {
    const std::jthread keeper(
        [](const std::stop_token& stop) { keep_waits_brief(stop, std::chrono::minutes(1)); });
    EXPECT_TRUE(soon(is_brief));
    EXPECT_TRUE(is_brief());
  }
  EXPECT_TRUE(soon(spins)) << "they are gone";
}

TEST_F(TwoThreads, BriefWaitsChangeNoBit) {
  at::manual_seed(0);
  const Tensor x = at::randn({700, 900}), y = at::randn({900, 500});
  const auto results = [&] {
    return std::vector<Tensor>{at::matmul(x, y), x.sum(), x.softmax(1), at::layer_norm(x, {900})};
  };
  const std::vector<Tensor> quiet = results();
  const std::jthread keeper(
      [](const std::stop_token& stop) { keep_waits_brief(stop, std::chrono::minutes(1)); });
  std::this_thread::sleep_for(milliseconds(50));
  const std::vector<Tensor> brief = results();
  for (size_t i = 0; i < quiet.size(); ++i) EXPECT_TRUE(at::equal(quiet[i], brief[i])) << i;
}

TEST_F(TwoThreads, WaitBrieflySoonAfterOthersCame) {
  EXPECT_TRUE(soon(spins));
  const Threads threads(2);
  const Busy others(2 * static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  const Tensor x = at::ones({1 << 16});
  EXPECT_TRUE(soon([&] {
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < milliseconds(300)) x.sum();
    return is_brief();
  }));
}

TEST(Threads, AskedForAreTaken) {
  const int before = at::get_num_threads();
  EXPECT_EQ(Threads(3).count(), 3);
  EXPECT_EQ(at::get_num_threads(), 3);
  at::set_num_threads(before);
}

}  // namespace
}  // namespace icedit
