#pragma once
// Every error a user can cause. The message is one sentence with the file, the value, the
// expectation and the remedy. Caught in main (which ends with exit_code), in the server's worker,
// and where a retry is meant; nowhere else.
#include <stdexcept>
#include <string>

#include "base/str.h"

namespace icedit {

// Exit codes of the program; the numbers from 64 on are those of sysexits.h.
enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,            // a checkpoint or data that is wrong
  kUsage = 2,              // wrong options or values
  kNoInput = 66,           // an input file is not there or is no picture
  kModelUnavailable = 69,  // a model, adapter or device is not there
  kIo = 74,                // reading or writing failed: disk full, no permission
  kInterrupted = 130,      // Ctrl+C
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

#define ICEDIT_ERROR(Name, exit_code)                                        \
  class Name : public Error {                                                \
   public:                                                                   \
    explicit Name(const std::string& message) : Error(exit_code, message) {} \
  }

ICEDIT_ERROR(UsageError, ExitCode::kUsage);                   // HTTP 400
ICEDIT_ERROR(CheckpointError, ExitCode::kFailure);            // HTTP 500
ICEDIT_ERROR(DataError, ExitCode::kFailure);                  // HTTP 422
ICEDIT_ERROR(NoInputError, ExitCode::kNoInput);               // HTTP 422
ICEDIT_ERROR(ModelUnavailable, ExitCode::kModelUnavailable);  // HTTP 503
ICEDIT_ERROR(IoError, ExitCode::kIo);                         // HTTP 500
ICEDIT_ERROR(Interrupted, ExitCode::kInterrupted);

#undef ICEDIT_ERROR

}  // namespace icedit
