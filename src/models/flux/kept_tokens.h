#pragma once
// Image tokens that some calls of the transformer leave out, while the others still attend to what
// they last were: their keys and values, block by block.
#include <vector>

#include "base/tensor.h"

namespace icedit {

// Of one block. A call with all tokens keeps, one without adds what was kept.
struct KeptKeys {
  Tensor rows;  // [n] int64, of the joint tokens; set where this call keeps
  Tensor k, v;  // [B, n, H, D]; k normalised and turned by its positions
};

class KeptTokens {
 public:
  KeptTokens() = default;
  // left_out [I] bool, of the image tokens; some are, and some are not.
  explicit KeptTokens(const Tensor& left_out);

  // The next call has all tokens, text_tokens before the image's, and keeps.
  void keep(int64_t text_tokens, size_t blocks);
  // The next ones have only those of `active`. Only after a call that kept.
  void leave_out();

  bool leaves_out() const { return leaves_out_; }
  const Tensor& active() const { return active_; }      // [I - n] int64, of the image tokens
  KeptKeys* block(size_t i) { return &blocks_.at(i); }  // the double ones first

 private:
  Tensor active_, rest_;
  std::vector<KeptKeys> blocks_;
  bool leaves_out_ = false;
};

}  // namespace icedit
