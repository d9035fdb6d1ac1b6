#!/usr/bin/env python3
"""From the start of the process to the end of the first denoising step, of the program as it is built and of diffusers.

    bench/startup.py [--python PYTHON] [--runs 5] [--width 64] [--threads 2] [--json]

The model is tests/goldens/data/tiny-fill, so that what is timed is the start: libraries, configs, tokenizers, checkpoints.
Both are watched from outside: the clock stops when "denoising 1/1" is on stderr. The two take turns.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests/goldens/data/tiny-fill"


def until_first_step(command):
    """Seconds to the line, seconds of CPU time until the process ended."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds, said = None, []
    for line in child.stderr:
        said.append(line.decode())
        if seconds is None and b"denoising 1/1" in line:
            seconds = time.perf_counter() - start
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or seconds is None:
        sys.exit(f"{' '.join(map(str, command))}: exit code {child.returncode}\n{''.join(said)[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime


def version_seconds(icedit):
    start = time.perf_counter()
    subprocess.run([icedit, "--version"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--python", default=sys.executable, help="with torch, diffusers and transformers (bench/README.md)")
    ap.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--width", type=int, default=64)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--json", action="store_true")
    a = ap.parse_args()
    icedit = a.build / "icedit"
    same = [ROOT / "assets/astronaut.jpg", "make it winter", "--width", str(a.width), "--threads", str(a.threads)]
    with tempfile.TemporaryDirectory(prefix="icedit_bench_") as folder:
        ours = [icedit, "edit", *same, "--model", MODEL, "--no-lora", "--steps", "1", "--seed", "0", "--force",
                "-o", pathlib.Path(folder) / "out.png"]
        theirs = [a.python, ROOT / "bench/peer/startup.py", MODEL, *same]
        until_first_step(ours), until_first_step(theirs)  # files come into the page cache
        times = {"icedit": [], "diffusers": [], "icedit --version": []}
        for _ in range(a.runs):
            times["icedit"].append(until_first_step(ours)[0])
            times["icedit --version"].append(version_seconds(icedit))
            times["diffusers"].append(until_first_step(theirs)[0])
    seconds = {name: round(statistics.median(t), 3) for name, t in times.items()}
    result = dict(benchmark="startup", seconds=seconds, least={n: round(min(t), 3) for n, t in times.items()}, runs=a.runs,
                  ratio=round(seconds["icedit"] / seconds["diffusers"], 3), limit_seconds=0.6)
    if a.json:
        print(json.dumps(result))
    else:
        for name, s in seconds.items():
            print(f"{name:<17} {s:.3f} s")
        print(f"ratio {result['ratio']:.3f}; wanted: under {result['limit_seconds']} s")


main()
