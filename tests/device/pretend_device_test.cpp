// That the pretend device is like a GPU where it matters.
#include "device/pretend_device.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "golden.h"

namespace icedit {
namespace {

using pretend::device, pretend::Memory;

Tensor ones(const Shape& shape = {4, 8}) {
  return at::ones(shape).to(device());
}

::testing::AssertionResult refuses(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    const std::string text = error.what();
    if (text.find("same device") != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << text;
  }
  return ::testing::AssertionFailure() << "no error";
}

TEST(PretendDevice, ComputesWhatTheCpuDoes) {
  const Tensor a = at::randn({4, 8}), b = at::randn({8, 3});
  const Tensor made = at::gelu(at::mm(a.to(device()), b.to(device())) + 1).sum(1);
  EXPECT_EQ(made.device(), device());
  EXPECT_TRUE(golden::equal(made, at::gelu(at::mm(a, b) + 1).sum(1)));
  EXPECT_EQ(ones().sum().item<float>(), 32);
}

// Whether this process may read there, by the kernel, which says what SIGSEGV would.
bool is_readable(const void* at) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const bool readable = write(ends[1], at, 1) == 1;
  EXPECT_TRUE(readable || errno == EFAULT);
  close(ends[0]);
  close(ends[1]);
  return readable;
}

TEST(PretendDevice, ItsMemoryIsNotTheHosts) {
  EXPECT_FALSE(is_readable(ones().const_data_ptr()));
}

TEST(PretendDevice, WhatIsGivenBackIsNobodys) {
  std::optional<Tensor> x = ones();
  const void *handed_out = x->const_data_ptr(), *inside = Memory::all().on_device(handed_out);
  EXPECT_TRUE(is_readable(inside));
  x.reset();
  EXPECT_FALSE(is_readable(inside));
  EXPECT_THROW(Memory::all().on_device(handed_out), c10::Error);
}

TEST(PretendDevice, RefusesOperandsOfDifferentDevices) {
  const Tensor x = ones(), host = at::ones({4, 8});
  EXPECT_TRUE(refuses([&] { x + host; }));
  EXPECT_TRUE(refuses([&] { at::mm(x, host.t()); }));
  EXPECT_TRUE(refuses([&] { at::cat({x, host}); }));
  EXPECT_TRUE(refuses([&] { at::linear(host, x); }));
  EXPECT_TRUE(refuses([&] { at::index_select(x, 0, at::zeros({1}, at::kLong)); }));
  EXPECT_TRUE(refuses([&] { at::mm_out(const_cast<Tensor&>(host), x, x.t()); }));
  EXPECT_EQ((x + at::scalar_tensor(2)).sum().item<float>(), 96);  // a number may come from the CPU
  EXPECT_EQ(x.index({at::zeros({1}, at::kLong)}).sum().item<float>(), 8);
}

TEST(PretendDevice, ViewsAndWorkInPlaceShareMemory) {
  const Tensor x = ones();
  const int64_t before = Memory::all().now();
  x.narrow(0, 1, 1).mul_(3);
  x.t().select(0, 0).add_(1);
  x.view({8, 4}).unsqueeze(0).permute({2, 0, 1}).select(0, 3).zero_();
  EXPECT_EQ(Memory::all().now(), before);
  const Tensor host = x.cpu();
  EXPECT_EQ(host[1][1].item<float>(), 3);
  EXPECT_EQ(host[1][0].item<float>(), 4);
  EXPECT_EQ(host[0][3].item<float>() + host[0][7].item<float>(), 0);
}

TEST(PretendDevice, CountsAndLimitsItsMemory) {
  Memory& memory = Memory::all();
  const int64_t before = memory.now();
  memory.start();
  {
    const Tensor x = at::empty({1024}, at::TensorOptions(device()).dtype(at::kFloat));
    EXPECT_EQ(memory.now(), before + 4096);
    EXPECT_TRUE(x.isnan().all().item<bool>());  // what nobody wrote is no number
    memory.set_limit(memory.now() + 1024);
    EXPECT_THROW(at::empty({1024}, x.options()), c10::OutOfMemoryError);
    memory.set_limit(Memory::kNoLimit);
  }
  EXPECT_EQ(memory.now(), before);
  EXPECT_GE(memory.most(), before + 4096);
}

TEST(PretendDevice, HasGradientsOnItsOwnThread) {
  const Tensor x = at::randn({4, 8}), w = at::randn({3, 8});
  const auto gradient = [&](at::Device where) {
    const Tensor leaf = x.to(where).detach().requires_grad_(true);
    at::silu(at::linear(leaf, w.to(where))).square().sum().backward();
    return leaf.grad();
  };
  const Tensor made = gradient(device());
  EXPECT_EQ(made.device(), device());
  EXPECT_TRUE(golden::close(made, gradient(at::kCPU), 1e-6));
}

TEST(PretendDevice, CopiesThatDoNotBlockAreRefused) {
  const Tensor host = at::ones({4});
  EXPECT_THROW(host.to(device(), at::kFloat, /*non_blocking=*/true), c10::Error);
}

}  // namespace
}  // namespace icedit
