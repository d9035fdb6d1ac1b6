#!/usr/bin/env bash
# Sets up, builds and tests everything: format and style, the release build and its tests, parity as other CPUs would
# compute it, then the parts that need no libtorch under AddressSanitizer and UndefinedBehaviorSanitizer, and the
# fuzz targets for ten seconds each. The last line is 'N passed, N failed' and, where there are some, ', N skipped'; the
# names of these and of the failed stand before it.
#   scripts/test.sh            all of it (under half an hour on two cores, from a fresh clone)
#   scripts/test.sh --fast     format, style, release build, tests labelled fast
#   scripts/test.sh --checks   format and style only
#   scripts/test.sh --cpus     the release build and parity on other CPUs only
#   scripts/test.sh --asan     the sanitizers' build and tests only
#   scripts/test.sh --asan-nn  under the sanitizers the products, kernels and readers of src/nn: six minutes on two
#                              cores, not part of everything
#   scripts/test.sh --fuzz     the fuzz targets only
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

what=all
for arg in "$@"; do
  case "$arg" in
    --fast | --checks | --cpus | --asan | --asan-nn | --fuzz) what=${arg#--} ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown option '$arg' (known: --fast, --checks, --cpus, --asan, --asan-nn, --fuzz)" >&2; exit 2 ;;
  esac
done

passed=0 failed=0 skipped=0 failures=() skips=()

fail() {
  failed=$((failed + 1))
  failures+=("$1")
}

skip() {
  skipped=$((skipped + 1))
  skips+=("$1")
}

finish() {
  local code=$?
  trap - EXIT
  # Whatever ends this script early is a failure, even where nothing counted it.
  if [ $code -ne 0 ] && [ $failed -eq 0 ]; then fail "scripts/test.sh itself (exit code $code)"; fi
  echo
  [ ${#skips[@]} -eq 0 ] || printf 'skipped: %s\n' "${skips[@]}"
  [ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
  printf 'took %d:%02d minutes\n' $((SECONDS / 60)) $((SECONDS % 60))
  local line="$passed passed, $failed failed"
  [ $skipped -eq 0 ] || line+=", $skipped skipped"
  echo "$line"
  exit $((failed > 0))
}
trap finish EXIT
trap 'fail "stopped before the end"; exit 1' INT TERM HUP

section() { printf '\n== %s  [%d:%02d]\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# check NAME COMMAND...: counts as one test; 77 means skipped
check() {
  local name=$1 code=0
  shift
  section "$name"
  "$@" || code=$?
  case $code in
    0) passed=$((passed + 1)); echo "ok" ;;
    77) skip "$name" ;;
    *) fail "$name" ;;
  esac
}

check_format() {
  local version output
  version=$(clang-format --version 2>/dev/null | sed -nE 's/.*version ([0-9]+).*/\1/p')
  if [ "$version" != 14 ]; then
    echo "skipped: the sources are formatted by clang-format 14, this is ${version:-no clang-format at all}"
    return 77
  fi
  output=$(find src tests bench tools \( -name '*.h' -o -name '*.cpp' -o -name '*.inc' -o -name '*.cu' \) -print0 |
    xargs -0 clang-format --dry-run -Werror 2>&1) && return 0
  grep -E 'error:' <<<"$output" | sort -u -t: -k1,1 | sed -E 's/^([^:]+:[0-9]+):.*/\1: not as clang-format has it/'
  echo "Run clang-format -i on these files."
  return 1
}

# tests PRESET NAME CTEST_OPTIONS...: runs them, with the variables $as in their environment, and counts each test
as=
tests() {
  local preset=$1 name=$2 code=0 junit before=$failed where=$1${as:+, $as}
  shift 2
  junit=$PWD/build/$preset/junit-${name// /-}.xml
  section "tests: $preset, $name"
  rm -f "$junit"
  # shellcheck disable=SC2086 # one word a variable
  env $as ctest --test-dir "build/$preset" --no-tests=error --output-on-failure --output-junit "$junit" \
    --test-output-size-passed 100000000 --test-output-size-failed 100000000 "$@" 2>&1 |
    grep --line-buffered -vE '^ +Start +[0-9]+: |^Internal ctest changing|^Test project|^$|^\[( RUN  |       OK|-----)' ||
    code=${PIPESTATUS[0]}
  if [ -s "$junit" ]; then
    local counts lines line
    { read -r -a counts; mapfile -t lines; } < <(scripts/count_tests.py "$junit")
    passed=$((passed + ${counts[0]:-0}))
    for line in "${lines[@]}"; do
      case "$line" in
        'failed '*) fail "$where: ${line#failed }" ;;
        'skipped '*) skip "$where: ${line#skipped }" ;;
      esac
    done
    if [ -z "${counts[0]:-}" ]; then fail "$where: $junit could not be read"; fi
  fi
  # ctest may fail without a failed test: one that it could not list, or none at all.
  if [ "$code" -ne 0 ] && [ "$failed" -eq "$before" ]; then fail "$where: ctest $* (exit code $code)"; fi
}

# build [--first] PRESET [TARGET...]: true when there is something to test
build() {
  section "build: $*"
  scripts/build.sh "$@" && return 0
  fail "build of $*"
  return 1
}

# The tests that compare with reference numbers, computed as ATen, MKL and oneDNN do it on other CPUs. ATen without AVX-512
# beside a oneDNN that finds AMX is no CPU that exists, and libtorch's attention in half precision refuses it: so these two
# are set together.
cpus() {
  local setting
  for setting in "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" "ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41" \
    MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16; do
    parity "$setting OMP_NUM_THREADS=1" -j2
    parity "$setting OMP_NUM_THREADS=2" -j1
  done
}

# parity SETTINGS CTEST_OPTION: of training only what has reference numbers; its whole runs are compared with themselves.
parity() {
  as=$1
  tests release "$1" -R '^(nn|models|adapters|diffusion|edit)$' "$2"
  GTEST_FILTER='Objective.*:*/FirstStep.*:*/Runs.*:*/GoldenOptimizer.*:Optimizer.*:Prodigy.*' \
    tests release "$1, train" -R '^train$'
  as=
}

# fuzz NAME: on its corpus and what comes of it; the input that broke it stays in build/fuzz.
fuzz() {
  local found
  found=$(mktemp -d)
  build/fuzz/tests/fuzz/fuzz_"$1" -max_total_time=10 -timeout=10 -print_final_stats=1 -verbosity=0 \
    -error_exitcode=1 -artifact_prefix="build/fuzz/$1-" "$found" "tests/fuzz/corpus/$1" 2>&1 |
    grep -v -e ' # Uses: ' -e '^######' | tail -n 40
  local code=${PIPESTATUS[0]}
  rm -rf "$found"
  return "$code"
}

section "set-up"
setup=()
[ "$what" != all ] || setup=(--serve-tests)
scripts/setup.sh "${setup[@]}" || { fail "set-up"; exit 1; }

if [ "$what" = all ] || [ "$what" = fast ] || [ "$what" = checks ]; then
  check "format" check_format
  check "style" tools/check_style.py
fi
if [ "$what" = all ] || [ "$what" = fast ] || [ "$what" = cpus ]; then
  # From nothing as quickstart does it; the sanitizers' build takes the files one by one, as developers do.
  if build --first release; then
    # Two tests at a time on two cores: one thread each.
    [ "$what" = cpus ] || OMP_NUM_THREADS=1 tests release fast -L fast -j2
    [ "$what" != all ] || tests release slow -LE fast -j1
    [ "$what" = fast ] || cpus
  fi
fi
if [ "$what" = all ] || [ "$what" = asan ]; then
  if build asan; then
    UBSAN_OPTIONS=print_stacktrace=1 tests asan all -j2
  fi
fi
if [ "$what" = asan-nn ]; then
  if build asan-nn test_nn; then
    UBSAN_OPTIONS=print_stacktrace=1 tests asan-nn nn -R '^nn$'
  fi
fi
if [ "$what" = all ] || [ "$what" = fuzz ]; then
  if build fuzz fuzz; then
    for corpus in tests/fuzz/corpus/*; do check "fuzz: ${corpus##*/}" fuzz "${corpus##*/}"; done
  fi
fi
