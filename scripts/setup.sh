#!/usr/bin/env bash
# Installs what icedit builds with: Debian packages, and libtorch and Arrow from their Python wheels into .deps/.
# Idempotent, and silent when there is nothing to do.
#   scripts/setup.sh [--cuda] [--fuzz] [--serve-tests] [--no-packages]
# --fuzz: clang, for the preset fuzz. --serve-tests: a browser, nginx and Python clients, for tests/e2e/serve.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.11.0
ARROW=26.0.1
CUDA_RUNTIME=13.0.96
CUPTI=13.0.85
PACKAGES=(g++ cmake ninja-build ccache clang-format lld python3 python3-pip pkg-config
  libicu-dev libpng-dev libjpeg62-turbo-dev libwebp-dev libexif-dev
  nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libstb-dev libboost1.81-dev
  libssl-dev libcurl4-openssl-dev libgloo-dev libgtest-dev libgmock-dev libbenchmark-dev)

cuda=0 packages=1 serve_tests=0
for arg in "$@"; do
  case "$arg" in
    --cuda) cuda=1 ;;
    --fuzz) PACKAGES+=(clang-14 libclang-rt-14-dev) ;;
    --serve-tests) serve_tests=1; PACKAGES+=(chromium chromium-driver nginx openssl) ;;
    --no-packages) packages=0 ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup.sh: unknown option '$arg' (known: --cuda, --fuzz, --serve-tests, --no-packages)" >&2; exit 2 ;;
  esac
done

missing_packages() {
  for p in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null || {
    echo "setup.sh: this is not a Debian-like system. Install the equivalents of: ${PACKAGES[*]}," \
      "then run scripts/setup.sh --no-packages" >&2; exit 1; }
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -gt 0 ] || return 0
  local run=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      run=(sudo)
    else
      echo "setup.sh: ${#missing[@]} packages are missing and this user may not install them. As root, run:" >&2
      echo "  apt-get update && apt-get install -y ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "setup: installing ${missing[*]}"
  "${run[@]}" apt-get update -qq
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# install_wheels STAMP PIP_ARGUMENT...: one call of pip into .deps/python. One, because pip --target does not merge
# folders: the NVIDIA wheels share nvidia/, and a later call would replace it or leave its own files out.
install_wheels() {
  local stamp=.deps/done/$1
  shift
  mkdir -p .deps/done
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade \
    --target .deps/python "$@" || {
    echo "setup.sh: pip could not install $*. It needs a Python from 3.10 to 3.14 on x86-64 Linux, 3 GB in" \
      "$(pwd)/.deps (9 GB with --cuda) and a way to PyPI; run scripts/setup.sh again once that is so" >&2; exit 1; }
  touch "$stamp"
}

[ $packages -eq 0 ] || install_packages

wheels=("torch==$TORCH" "nvidia-cuda-runtime==$CUDA_RUNTIME" "nvidia-cuda-cupti==$CUPTI" "pyarrow==$ARROW")
stamp="$(IFS=,; echo "${wheels[*]}")"
if [ ! -e ".deps/done/$stamp" ]; then
  echo "setup: fetching ${wheels[*]}"
  rm -f .deps/done/*
  install_wheels "$stamp" --no-deps "${wheels[@]}"
fi
if [ $serve_tests -eq 1 ]; then
  clients=(openai==3.57.0 schemathesis==4.32.5 webuiapi==0.9.17)
  stamp="serve-tests-$(IFS=,; echo "${clients[*]}")"
  if [ ! -e ".deps/done/$stamp" ]; then
    echo "setup: fetching ${clients[*]}"
    rm -rf .deps/serve-tests
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .deps/serve-tests "${clients[@]}" 2>/dev/null || {
      echo "setup.sh: pip could not install ${clients[*]}; is there a way to PyPI?" >&2; exit 1; }
    mkdir -p .deps/done
    touch ".deps/done/$stamp"
  fi
fi
if [ $cuda -eq 1 ] && [ ! -e .deps/done/cuda ]; then
  echo "setup: fetching the CUDA libraries that torch $TORCH names (they include the two above)"
  mapfile -t libs < <(grep -hE '^Requires-Dist: (nvidia-|cuda-toolkit)' ".deps/python/torch-$TORCH.dist-info/METADATA" |
    sed -E 's/^Requires-Dist: ([^;]*).*/\1/' | tr -d ' ')
  install_wheels cuda "${libs[@]}"
  echo "setup: the next scripts/build.sh makes libicedit_nccl.so too, for training on several GPUs (unmeasured)"
fi
