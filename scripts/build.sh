#!/usr/bin/env bash
# Sets up, configures and builds. Without targets: everything.
#   scripts/build.sh [--first] [release|debug|asan|asan-nn|fuzz] [TARGET...]
# --first: where the folder has no build yet, each folder of src/ is compiled as one file (ICEDIT_UNITY): two minutes
# in place of eight on two cores, but every later change compiles a whole folder. A build that is there goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

unity=(-DICEDIT_UNITY=OFF) first=0
if [ "${1:-}" = --first ]; then first=1; shift; fi
preset=${1:-release}
shift $(($# > 0 ? 1 : 0))
case "$preset" in
  release | debug | asan | asan-nn) setup=() ;;
  fuzz) setup=(--fuzz) ;;
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "build.sh: unknown preset '$preset' (known: release, debug, asan, asan-nn, fuzz)" >&2; exit 2 ;;
esac

scripts/setup.sh "${setup[@]}"
mkdir -p build
log=build/configure-$preset.log
if [ $first -eq 1 ]; then
  unity=()
  [ -e "build/$preset/CMakeCache.txt" ] || unity=(-DICEDIT_UNITY=ON)
fi
cmake --preset "$preset" "${unity[@]}" >"$log" 2>&1 || { cat "$log"; echo "build.sh: cmake could not configure $preset" >&2; exit 1; }

build=(cmake --build "build/$preset" --parallel "$(nproc)")
[ $# -eq 0 ] || build+=(--target "$@")
if [ -t 1 ]; then
  "${build[@]}"
else
  # ninja draws one line over and over on a terminal; in a log some ten of them will do, and all that is not progress.
  "${build[@]}" 2>&1 | awk '
    /^\[[0-9]+\/[0-9]+\]/ { split($1, n, /[^0-9]+/); each = int(n[3] / 10) + 1; if (n[2] % each == 0 || n[2] == n[3]) { print; fflush() }; next }
    /^Change Dir: |^Run Build Command/ { next }
    NF { print; fflush() }'
fi
