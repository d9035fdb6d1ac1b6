#include "io/jpeg_calls.h"

#include <cstdio>
// jpeglib.h needs FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>

namespace icedit::jpeg {

struct Errors::Impl {
  jpeg_error_mgr base;  // first: libjpeg hands this one back
  jmp_buf jump;
  char reason[JMSG_LENGTH_MAX];

  static Impl* of(j_common_ptr info) { return reinterpret_cast<Impl*>(info->err); }

  [[noreturn]] static void on_error(j_common_ptr info) {
    info->err->format_message(info, of(info)->reason);
    std::longjmp(of(info)->jump, 1);
  }

  // libjpeg goes on after a warning and fills in grey. What is missing or wrong in the data is an
  // error here.
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;  // a trace
    switch (info->err->msg_code) {
      case JWRN_ADOBE_XFORM:        // unknown transform code: libjpeg assumes YCbCr
      case JWRN_BOGUS_PROGRESSION:  // scans in an odd order
      case JWRN_EXTRANEOUS_DATA:    // bytes between markers
      case JWRN_JFIF_MAJOR:
      case JWRN_TOO_MUCH_DATA:
        return;
      default:
        on_error(info);
    }
  }

  static void on_output(j_common_ptr) {}
};

Errors::Errors() : impl_(std::make_unique<Impl>()) {
  jpeg_std_error(&impl_->base);
  impl_->base.error_exit = Impl::on_error;
  impl_->base.emit_message = Impl::on_message;
  impl_->base.output_message = Impl::on_output;
}

Errors::~Errors() = default;

jpeg_error_mgr* Errors::handler() {
  return &impl_->base;
}

const char* Errors::reason() const {
  return impl_->reason;
}

void Errors::fail(jpeg_common_struct* info, const char* reason) {
  std::snprintf(Impl::of(info)->reason, JMSG_LENGTH_MAX, "%s", reason);
  std::longjmp(Impl::of(info)->jump, 1);
}

bool Errors::run(void (*calls)(void*), void* context) {
  if (setjmp(impl_->jump)) return false;
  calls(context);
  return true;
}

}  // namespace icedit::jpeg
