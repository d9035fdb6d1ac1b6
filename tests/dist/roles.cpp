// What the started ranks do. A check that fails ends the rank with status 3.
#include <ATen/ATen.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "base/interrupt.h"
#include "dist/group.h"
#include "ranks.h"

namespace icedit {
namespace {

using std::chrono::milliseconds;

struct Failed {
  std::string what;
};

void expect(bool good, const std::string& what) {
  if (!good) throw Failed{what};
}

void say(const std::string& line) {
  std::cout << line << std::endl;
}

milliseconds from_environment(const char* name) {
  const char* text = std::getenv(name);
  return milliseconds(text ? std::atoi(text) : 30'000);
}

GroupOptions options() {
  GroupOptions options;
  options.timeout = from_environment("ICEDIT_TEST_TIMEOUT_MS");
  options.join_timeout = from_environment("ICEDIT_TEST_JOIN_MS");
  return options;
}

Tensor ranks_row(int size, at::ScalarType type) {  // 0 1 2 ... of every element's own
  return at::arange(size, at::kDouble).to(type);
}

void all_reduce(Group& group) {
  const int n = group.size(), sum = n * (n - 1) / 2;
  for (const auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte}) {
    const Tensor t = at::full({3, 2}, group.rank(), at::TensorOptions().dtype(type));
    group.all_reduce(t);
    expect((t == sum).all().item<bool>(), "the sum");
  }
  // Large enough for many packets, small steps in between.
  const Tensor big = at::arange(3'000'000, at::kFloat).remainder(1000);
  const Tensor want = big * n;
  group.all_reduce(big);
  expect(at::equal(big, want), "the large sum");
  for (int i = 0; i < 200; ++i) {
    const Tensor small = at::full({1 + i % 7}, double(i));
    group.all_reduce(small);
    expect((small == double(i) * n).all().item<bool>(), "a sum in a row");
  }
}

void many_tensors(Group& group) {
  const double mean = (group.size() - 1) / 2.0;
  const std::vector<Tensor> tensors = {
      ranks_row(5, at::kFloat) + group.rank(), at::full({2, 2}, double(group.rank()), at::kDouble),
      at::full({}, double(group.rank()), at::kFloat), at::zeros({0, 3})};
  const Tensor transposed = at::full({3, 4}, double(group.rank())).t();
  std::vector<Tensor> all = tensors;
  all.push_back(transposed);
  group.all_reduce_mean(all);
  expect(at::equal(tensors[0], ranks_row(5, at::kFloat) + mean), "the mean of a row");
  expect((tensors[1] == mean).all().item<bool>(), "the mean of doubles");
  expect(tensors[2].item<double>() == mean, "the mean of a scalar");
  expect((transposed == mean).all().item<bool>(), "the mean of a transposed one");

  const Tensor from_last = at::full({3}, double(group.rank() + 1));
  group.broadcast(from_last, group.size() - 1);
  expect((from_last == group.size()).all().item<bool>(), "the last rank's values");
  const Tensor from_first = at::full({1'000'000}, double(group.rank() + 7));
  group.broadcast(from_first);
  expect((from_first == 7).all().item<bool>(), "rank 0's values");
  expect(group.broadcast_text(group.is_first() ? "runs/1" : "") == "runs/1", "rank 0's text");
  expect(group.broadcast_text(group.is_first() ? "" : "x").empty(), "rank 0's empty text");
  expect(group.gather(group.rank() * 10).back() == (group.size() - 1) * 10, "gathered numbers");
  expect(group.all(true) && !group.all(group.rank() != 0), "all");
}

void everybody(Group& group) {
  const auto start = std::chrono::steady_clock::now();
  if (group.rank() == 1) std::this_thread::sleep_for(milliseconds(400));
  group.gather(0);
  const auto waited = std::chrono::steady_clock::now() - start;
  expect(waited >= milliseconds(350), "everybody waits for the last");
}

void different(Group& group) {
  group.expect_equal("the same thing", "equal");
  group.expect_equal("the configuration", group.rank() == 0 ? "r: 32" : "r: 16");
}

// Rank 1 goes without a word; the others are in a collective.
void death(Group& group) {
  group.gather(0);
  if (group.rank() == 1) kill(getpid(), SIGKILL);
  const Tensor t = at::ones({1000});
  for (int i = 0; i < 3; ++i) group.all_reduce(t);
}

void left(Group& group) {
  group.gather(0);
  if (group.rank() == 1) return;
  group.broadcast(at::ones({1000}), 1);
}

void hang(Group& group) {
  group.gather(0);
  if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::minutes(1));
  if (group.rank() == 0) {
    try {
      group.gather(0);
    } catch (const PeerError& error) {
      say(error.what());
      group.gather(0);  // the second error comes at once
    }
  }
}

void signalled(Group& group) {
  catch_interrupts();
  group.gather(0);
  if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::minutes(1));
  say("waiting");
  group.all_reduce(at::ones({10}));
}

void met(Group& group) {
  const Tensor t = at::ones({1});
  group.all_reduce(t);
  say(str("met ", t.item<double>()));
}

}  // namespace

int run_role(const std::string& role) {
  const std::map<std::string, void (*)(Group&)> roles = {{"all_reduce", all_reduce},
                                                         {"many_tensors", many_tensors},
                                                         {"everybody", everybody},
                                                         {"different", different},
                                                         {"death", death},
                                                         {"left", left},
                                                         {"hang", hang},
                                                         {"signalled", signalled},
                                                         {"met", met},
                                                         {"waits", met}};
  try {
    if (role == "waits") {
      catch_interrupts();
      say("waiting");
    }
    const auto group = make_group(LaunchEnv::read(), options());
    roles.at(role)(*group);
    return 0;
  } catch (const Failed& failed) {
    say("failed: " + failed.what);
    return 3;
  } catch (const Error& error) {
    say(error.what());
    return int(error.code());
  }
}

}  // namespace icedit
