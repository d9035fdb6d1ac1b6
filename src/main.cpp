// icedit: picks the sub-command, and is the one place where the command line's errors end.
#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/command.h"
#include "io/json.h"
#include "nn/large_blocks.h"

namespace {

using icedit::ExitCode;

constexpr const char* kMemoryRemedy =
    "; try --low-memory, a smaller --width, or --dtype bf16, or close other programs";

// libtorch's CPU allocator throws a plain c10::Error, with this in its text.
bool is_out_of_memory(const std::string& message) {
  return message.find("can't allocate memory") != std::string::npos ||
         message.find("out of memory") != std::string::npos;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// Who asked for JSON reads standard output, where an error is an object too.
ExitCode report(const std::vector<std::string>& arguments, const std::string& message,
                ExitCode code) {
  icedit::log::error(message);
  if (std::find(arguments.begin(), arguments.end(), "--json") != arguments.end()) {
    const icedit::Json json = {{"error", message}, {"exit_code", static_cast<int>(code)}};
    std::cout << icedit::dumped(json, 2) << std::endl;
  }
  return code;
}

ExitCode run(const std::vector<std::string>& arguments) try {
  return static_cast<ExitCode>(icedit::cli::run_command(arguments));
} catch (const icedit::Error& error) {
  return report(arguments, error.what(), error.code());
} catch (const c10::Error& error) {
  const std::string message = first_line(error.what_without_backtrace());
  if (is_out_of_memory(message))
    return report(arguments, "out of memory: " + message + kMemoryRemedy, ExitCode::kFailure);
  return report(
      arguments,
      "libtorch: " + message + " (this is a bug of icedit unless the machine is at fault)",
      ExitCode::kFailure);
} catch (const std::bad_alloc&) {
  return report(arguments, std::string("out of memory") + kMemoryRemedy, ExitCode::kFailure);
} catch (const std::filesystem::filesystem_error& error) {
  return report(arguments, error.what(), ExitCode::kIo);
} catch (const std::exception& error) {
  return report(arguments, std::string("internal error: ") + error.what(), ExitCode::kFailure);
}

}  // namespace

int main(int count, char** values) {
  icedit::tune_malloc();
  icedit::keep_large_blocks();
  icedit::catch_interrupts();
  return static_cast<int>(run({values + (count > 0 ? 1 : 0), values + count}));
}
