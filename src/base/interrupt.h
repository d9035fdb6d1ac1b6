#pragma once
// Ctrl+C and SIGTERM: long loops ask between two steps; Ctrl+C after either ends the process at
// once.

namespace icedit {

void catch_interrupts();      // installs the handlers, ignores SIGXFSZ; called by main
bool interrupted();           // whether a signal came
void throw_if_interrupted();  // throws Interrupted("stopped by ...")

}  // namespace icedit
