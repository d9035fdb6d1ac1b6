#include "base/version.h"

namespace icedit {

const char* version() {
  return ICEDIT_VERSION;
}

}  // namespace icedit
