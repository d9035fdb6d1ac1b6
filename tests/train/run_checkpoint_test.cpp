#include "train/run_checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <random>

#include "base/error.h"
#include "io/hub.h"
#include "io/no_links.h"
#include "io/temporary_folder.h"
#include "train/checkpoint_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// Tensors whose values tell the step. `columns` makes them large.
RunState state_of(int64_t step, int64_t columns = 8) {
  RunState state;
  state.step = step;
  state.epoch = 1;
  state.position = 4 * step;
  state.draw_state = {3, -7};
  state.adapter.modules = {{.module = "transformer_blocks.0.attn.to_q",
                            .a = {at::full({2, columns}, double(step))},
                            .b = {at::full({columns, 2}, -double(step))},
                            .alpha = 7.5}};
  state.ema = tensors_of(state.adapter.modules);
  for (auto& [name, tensor] : state.ema) tensor = tensor + 0.25;
  for (const auto& [name, tensor] : tensors_of(state.adapter.modules)) {
    state.optimizer.tensors.emplace_back(name + ".exp_avg", tensor * 3);
    state.optimizer.scalars[name + ".step"] = double(step);
  }
  state.optimizer.scalars["d"] = 1.0 / 3.0;
  state.figures = {{"loss.running", 0.1}, {"worst", INFINITY}, {"none", NAN}};
  state.generators = {{"draws", at::arange(16, at::kByte)}};
  state.settings = {{"train.batch_size", "1"}, {"seed", "666"}};
  state.ranks = 2;
  state.data = {40, "abc"};
  return state;
}

void expect_equal(const NamedTensors& a, const NamedTensors& b) {
  std::map<std::string, Tensor> other(b.begin(), b.end());
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_EQ(other.count(name), 1u) << name;
    EXPECT_TRUE(at::equal(tensor, other[name])) << name;
  }
}

TEST(RunCheckpoint, ComesBackAsItWas) {
  const TemporaryFolder run;
  const RunState saved = state_of(12);
  const Path folder = save_checkpoint(run.path(), saved, 3);
  EXPECT_EQ(folder, run.path() / "step-12");
  for (const Path& place : {run.path(), run.path() / "latest", folder, run.path() / ""}) {
    const auto [from, state] = load_checkpoint(place);
    EXPECT_EQ(step_number(from), 12);
    EXPECT_EQ(state.step, 12);
    EXPECT_EQ(state.epoch, 1);
    EXPECT_EQ(state.position, 48);
    EXPECT_EQ(state.draw_state, saved.draw_state);
    EXPECT_EQ(state.settings, saved.settings);
    EXPECT_EQ(state.ranks, 2);
    EXPECT_EQ(state.data.rows, 40);
    EXPECT_EQ(state.data.digest, "abc");
    EXPECT_EQ(state.optimizer.scalars, saved.optimizer.scalars);
    EXPECT_EQ(state.figures.at("loss.running"), 0.1);
    EXPECT_TRUE(std::isinf(state.figures.at("worst")));
    EXPECT_TRUE(std::isnan(state.figures.at("none")));
    EXPECT_EQ(state.adapter.modules.at(0).alpha, 7.5);
    expect_equal(tensors_of(state.adapter.modules), tensors_of(saved.adapter.modules));
    expect_equal(state.ema, saved.ema);
    expect_equal(state.optimizer.tensors, saved.optimizer.tensors);
    expect_equal(state.generators, saved.generators);
  }
  // As `icedit edit --lora` opens it, and the averages too.
  EXPECT_EQ(AdapterFile::open(folder).modules.at(0).alpha, 7.5);
  EXPECT_EQ(AdapterFile::open(folder / "ema").modules.size(), 1u);
}

TEST(RunCheckpoint, MixturesAndWholeModels) {
  const TemporaryFolder run;
  RunState mixture;
  mixture.step = 1;
  AdapterModule moe{.module = "single_transformer_blocks.0.proj_out",
                    .route = at::rand({4, 8}),
                    .alpha = 32,
                    .top_k = 2};
  for (int e = 0; e < 4; ++e) {
    moe.a.push_back(at::rand({2, 8}));
    moe.b.push_back(at::rand({8, 2}));
  }
  mixture.adapter.modules = {moe};
  save_checkpoint(run.path(), mixture, 0);
  const RunState back = load_checkpoint(run.path()).state;
  EXPECT_EQ(back.adapter.modules.at(0).top_k, 2);
  EXPECT_EQ(back.adapter.modules.at(0).alpha, 32);
  expect_equal(tensors_of(back.adapter.modules), tensors_of(mixture.adapter.modules));

  RunState whole;
  whole.step = 2;
  whole.weights = {{"proj_out.weight", at::rand({3, 3}).to(at::kBFloat16)}};
  whole.ema = {{"proj_out.weight", at::rand({3, 3})}};
  whole.transformer_config = "{\"num_layers\": 1}";
  save_checkpoint(run.path(), whole, 0);
  const RunState again = load_checkpoint(run.path()).state;
  EXPECT_EQ(again.transformer_config, whole.transformer_config);
  expect_equal(again.weights, whole.weights);
  expect_equal(again.ema, whole.ema);

  const RunState nothing;
  EXPECT_NE(error_of<UsageError>([&] { save_checkpoint(run.path(), nothing, 0); }), "");
}

TEST(RunCheckpoint, KeepsTheLastOnes) {
  const TemporaryFolder run;
  for (const int step : {1, 2, 3, 9, 10}) save_checkpoint(run.path(), state_of(step), 2);
  EXPECT_FALSE(fs::exists(run.path() / "step-3"));
  EXPECT_TRUE(fs::exists(run.path() / "step-9"));
  EXPECT_EQ(fs::read_symlink(run.path() / "latest"), "step-10");
  // The same step again, and one before the last: nothing of a later step is lost.
  save_checkpoint(run.path(), state_of(10), 2);
  save_checkpoint(run.path(), state_of(5), 1);
  EXPECT_FALSE(fs::exists(run.path() / "step-4"));
  EXPECT_TRUE(fs::exists(run.path() / "step-10"));
  EXPECT_EQ(load_checkpoint(run.path()).state.step, 5);
  size_t entries = 0;  // nothing temporary is left
  for (const auto& entry : fs::directory_iterator(run.path())) entries += entry.exists();
  EXPECT_EQ(entries, 4u);  // step-5, step-9, step-10, latest
}

TEST(RunCheckpoint, EveryFlippedByteIsFoundAndTheOneBeforeIsUsed) {
  const TemporaryFolder run;
  save_checkpoint(run.path(), state_of(1), 0);
  const Path folder = save_checkpoint(run.path(), state_of(2), 0);
  std::vector<Path> files;
  std::vector<uint64_t> sizes;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files.push_back(entry.path());
    sizes.push_back(entry.file_size());
  }
  EXPECT_EQ(files.size(), 6u);
  std::mt19937 random(5);
  for (int flip = 0; flip < 200; ++flip) {
    // Files in turn, so that the small ones (the manifest, its sum) have their share.
    const size_t f = flip % files.size();
    const auto at = std::streamoff(random() % sizes[f]);
    std::fstream file(files[f], std::ios::in | std::ios::out | std::ios::binary);
    const char old = char(file.seekg(at).get());
    const char flipped = char(old ^ (1 << random() % 8));
    file.seekp(at).put(flipped).flush();
    EXPECT_NE(damage_of(folder), "") << files[f] << " at " << at;
    EXPECT_EQ(load_checkpoint(run.path()).state.step, 1);
    file.seekp(at).put(old).flush();
  }
  EXPECT_EQ(damage_of(folder), "");
}

TEST(RunCheckpoint, WhatIsMissingIsDamageAndNoneIsAnError) {
  const TemporaryFolder run;
  EXPECT_FALSE(has_checkpoint(run.path()));
  EXPECT_NE(error_of<NoInputError>([&] { load_checkpoint(run.path()); }), "");
  EXPECT_NE(error_of<NoInputError>([&] { load_checkpoint(run.path() / "nowhere"); }), "");
  const Path one = save_checkpoint(run.path(), state_of(1), 0);
  const Path two = save_checkpoint(run.path(), state_of(2), 0);
  fs::remove(two / "optimizer.safetensors");
  EXPECT_NE(damage_of(two).find("optimizer.safetensors is missing"), std::string::npos);
  EXPECT_EQ(load_checkpoint(two).state.step, 1);
  fs::resize_file(one / "state.json", 3);
  EXPECT_NE(damage_of(one).find("state.json has 3 bytes"), std::string::npos);
  const std::string all = error_of<CheckpointError>([&] { load_checkpoint(run.path()); });
  EXPECT_NE(all.find("none of 2 checkpoints is whole"), std::string::npos) << all;
  // `latest` may dangle: someone removed the folder.
  fs::remove_all(two);
  fs::remove_all(one);
  save_checkpoint(run.path(), state_of(3), 0);
  fs::remove(run.path() / "latest");
  fs::create_directory_symlink("step-99", run.path() / "latest");
  EXPECT_EQ(load_checkpoint(run.path()).state.step, 3);
  // A step that is not there is not silently another.
  for (const char* name : {"step-4", "step-2"}) {
    const std::string error = error_of<NoInputError>([&] { load_checkpoint(run.path() / name); });
    EXPECT_NE(error.find(str(name, " is not there")), std::string::npos) << error;
    EXPECT_NE(error.find("has [step-3]"), std::string::npos) << error;
  }
}

// Only weights from before such checkpoints were no longer written can be so.
TEST(RunCheckpoint, WeightsThatAreNotFiniteAreLeftAlone) {
  const TemporaryFolder run;
  save_checkpoint(run.path(), state_of(1), 0);
  RunState diverged = state_of(2);
  diverged.adapter.modules[0].a[0].fill_(NAN);
  save_checkpoint(run.path(), diverged, 0);
  EXPECT_EQ(load_checkpoint(run.path()).state.step, 1);
}

TEST(RunCheckpoint, DamagedOnesAreNotCountedAsKept) {
  const TemporaryFolder run;
  for (const int step : {1, 2, 3}) save_checkpoint(run.path(), state_of(step), 0);
  for (const char* name : {"step-2", "step-3"})
    fs::resize_file(run.path() / name / "optimizer.safetensors", 20);
  save_checkpoint(run.path(), state_of(4), 2);
  EXPECT_TRUE(fs::exists(run.path() / "step-1"));
  WholeSteps known;
  save_checkpoint(run.path(), state_of(5), 2, &known);
  for (const char* gone : {"step-1", "step-2", "step-3"})
    EXPECT_FALSE(fs::exists(run.path() / gone)) << gone;
  EXPECT_TRUE(fs::exists(run.path() / "step-4"));
}

// A child that saves step after step until it is killed.
pid_t saving_child(const Path& run, int64_t first) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    for (int64_t step = first;; ++step) {
      // Every other step is written a second time, so that folders are exchanged too.
      save_checkpoint(run, state_of(step / 2, 20000), 2);
    }
  } catch (...) {
  }
  ::_exit(1);
}

TEST(RunCheckpoint, AHundredKillsNeverLeaveAnUnusableLatest) {
  at::set_num_threads(1);  // a forked child has no other threads
  const TemporaryFolder run;
  const auto start = std::chrono::steady_clock::now();
  for (int again = 0; again < 3; ++again) save_checkpoint(run.path(), state_of(1, 20000), 2);
  // Of three saves, so that the kills fall on all of one and on its end.
  auto longest = std::chrono::duration_cast<std::chrono::microseconds>(
                     std::chrono::steady_clock::now() - start)
                     .count();
  std::mt19937 random(7);
  int64_t step = 1;
  for (int kill = 0; kill < 100; ++kill) {
    const pid_t child = saving_child(run.path(), 2 * step + 1);
    ::usleep(useconds_t(random() % longest));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    const Path latest = run.path() / fs::read_symlink(run.path() / "latest");
    ASSERT_EQ(damage_of(latest), "") << "after kill " << kill;
    const auto [folder, state] = load_checkpoint(run.path());
    ASSERT_EQ(folder, latest);
    ASSERT_GE(state.step, step);
    ASSERT_TRUE(
        at::equal(state.adapter.modules.at(0).a[0], at::full({2, 20000}, double(state.step))));
    if (state.step == step) longest += longest / 16;  // the machine has become slower since
    step = state.step;
  }
  EXPECT_GT(step, 5) << "hardly anything was saved between the kills";
  save_checkpoint(run.path(), state_of(step + 1), 2);
  for (const auto& entry : fs::directory_iterator(run.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

// The exit code of a child that runs `call` without root's rights (which know no read-only folder).
int in_child(const std::function<void()>& call) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(9);
    int code = 0;
    try {
      call();
    } catch (const IoError&) {
      code = 5;
    } catch (...) {
      code = 6;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(RunCheckpoint, WithoutLinksTheLastIsFoundAndOldOnesGo) {
  at::set_num_threads(1);
  const TemporaryFolder run;
  fs::permissions(run.path(), fs::perms::all);
  const int code = in_child([&] {
    if (!forbid_links()) ::_exit(8);
    for (const int step : {1, 2, 3}) save_checkpoint(run.path(), state_of(step), 2);
  });
  if (code == 8) GTEST_SKIP() << "no system-call filters here";
  ASSERT_EQ(code, 0);
  EXPECT_TRUE(fs::is_regular_file(run.path() / "latest"));
  EXPECT_FALSE(fs::exists(run.path() / "step-1"));
  EXPECT_TRUE(fs::exists(run.path() / "step-2"));
  for (const Path& place : {run.path(), run.path() / "latest"})
    EXPECT_EQ(load_checkpoint(place).state.step, 3);
  const Path adapter = resolve_path_or_id((run.path() / "latest").string(), "--lora");
  EXPECT_EQ(AdapterFile::open(adapter).path.parent_path(), run.path() / "step-3");
}

TEST(RunCheckpoint, AFullDiskLosesNeitherTheRunNorThePreviousOne) {
  at::set_num_threads(1);
  const TemporaryFolder run;
  save_checkpoint(run.path(), state_of(1, 20000), 1);
  fs::permissions(run.path(), fs::perms::all);
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100000,
                          100000};  // bytes of any file: the disk is full within the adapter
    ::setrlimit(RLIMIT_FSIZE, &limit);
    save_checkpoint(run.path(), state_of(2, 20000), 1);
  });
  EXPECT_EQ(code, 5);
  EXPECT_EQ(load_checkpoint(run.path()).state.step, 1);
  size_t entries = 0;
  for (const auto& entry : fs::directory_iterator(run.path())) entries += entry.exists();
  EXPECT_EQ(entries, 2u) << "the half written one is still there";
}

TEST(RunCheckpoint, SpaceIsCheckedBefore) {
  const TemporaryFolder run;
  const std::string error = error_of<IoError>(
      [&] { write_step_folder(run.path(), 1, uint64_t{1} << 62, [](const Path&) { FAIL(); }); });
  EXPECT_NE(error.find("needs 4194304.0 TiB, but "), std::string::npos) << error;
  EXPECT_NE(error.find("are free there; nothing was written"), std::string::npos) << error;
  EXPECT_TRUE(fs::is_empty(run.path()));
}

TEST(RunCheckpoint, AReadOnlyFolderIsAnError) {
  at::set_num_threads(1);
  const TemporaryFolder run;
  save_checkpoint(run.path(), state_of(1), 1);
  fs::permissions(run.path(), fs::perms::owner_read | fs::perms::owner_exec |
                                  fs::perms::others_read | fs::perms::others_exec);
  EXPECT_EQ(in_child([&] { save_checkpoint(run.path(), state_of(2), 1); }), 5);
  EXPECT_EQ(load_checkpoint(run.path()).state.step, 1);
}

TEST(RunCheckpoint, AnotherAdapterIsNamedAndNothingIsCopied) {
  const NamedTensors from = tensors_of(state_of(3).adapter.modules);
  NamedTensors into;
  for (const auto& [name, tensor] : from) into.emplace_back(name, at::zeros_like(tensor));
  into[0].second.requires_grad_(true);
  restore_tensors(from, into, "run/step-3");
  expect_equal(from, into);

  NamedTensors other = {{from[0].first, at::zeros({2, 8})}, {from[1].first, at::zeros({8, 4})}};
  std::string error = error_of<CheckpointError>([&] { restore_tensors(from, other, "run"); });
  EXPECT_NE(error.find("is [8, 2] of Float, expected [8, 4]"), std::string::npos) << error;
  EXPECT_FALSE(other[0].second.any().item<bool>());
  other.pop_back();
  error = error_of<CheckpointError>([&] { restore_tensors(from, other, "run"); });
  EXPECT_NE(error.find("is not trained here"), std::string::npos) << error;
  other.emplace_back("transformer.other.lora_A.weight", at::zeros({2, 8}));
  error = error_of<CheckpointError>([&] { restore_tensors(from, other, "run"); });
  EXPECT_NE(error.find("has no 'transformer.other.lora_A.weight'"), std::string::npos) << error;
}

}  // namespace
}  // namespace icedit
