#pragma once
// What a server is told at its start.
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "edit/residency.h"
#include "http/access.h"
#include "http/server.h"

namespace icedit::server {

// An adapter by the name that requests give; the first is the default.
struct NamedAdapter {
  std::string name;
  AdapterRequest adapter;
};

struct Options {
  std::string host = "127.0.0.1";
  int64_t port = 7860;
  std::string name;  // of this replica, in its jobs' ids; "" for one that stands alone
  http::AccessRules access;
  http::Limits limits;
  std::optional<http::Certificate> certificate;

  std::vector<NamedAdapter> adapters;
  bool no_lora = false;  // none is meant

  bool no_auth = false;  // everybody may, also from other machines

  bool allow_fetch = false;  // pictures by their URLs
  int64_t queue = 64;        // jobs that wait
  int64_t batch = 1;         // of them that may be denoised together
  int64_t max_pixels = 50'000'000;
  int64_t max_prompt = 2000;  // bytes
  int64_t max_steps = 100;
  int64_t max_width =
      0;  // at which the model may be asked to work; 0: 8 times its own, at most 2048
  int64_t keep_minutes = 60;                  // of finished jobs, from their end
  uint64_t keep_bytes = uint64_t{512} << 20;  // of all their pictures
  int64_t drain_seconds = 30;

  std::string save_dir;  // "" keeps nothing on disk
  uint64_t save_bytes = uint64_t{10} << 30;
};

}  // namespace icedit::server
