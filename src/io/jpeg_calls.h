#pragma once
// How libjpeg is called: its errors leave by longjmp, so the calls stand in `guarded` and own
// nothing.
#include <cstdio>
// jpeglib.h needs FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <string_view>

namespace icedit::jpeg {

// What an APP1 segment with EXIF begins with.
inline constexpr std::string_view kExifMark{"Exif\0\0", 6};

struct Errors {
  jpeg_error_mgr base;  // first: libjpeg hands this one back
  jmp_buf jump;
  char reason[JMSG_LENGTH_MAX];
};

inline Errors* errors_of(j_common_ptr info) {
  return reinterpret_cast<Errors*>(info->err);
}

inline void on_error(j_common_ptr info) {
  info->err->format_message(info, errors_of(info)->reason);
  std::longjmp(errors_of(info)->jump, 1);
}

// libjpeg goes on after a warning and fills in grey. What is missing or wrong in the data is an
// error here.
inline void on_message(j_common_ptr info, int level) {
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

inline void on_output(j_common_ptr) {}

inline void set_errors(Errors& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = on_error;
  errors.base.emit_message = on_message;
  errors.base.output_message = on_output;
  errors.reason[0] = '\0';
}

// Runs calls of libjpeg; false after an error. What `calls` makes is not destroyed on an error.
template <class Calls>
bool guarded(Errors& errors, Calls calls) {
  if (setjmp(errors.jump)) return false;
  calls();
  return true;
}

}  // namespace icedit::jpeg
