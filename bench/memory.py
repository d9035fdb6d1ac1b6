#!/usr/bin/env python3
"""Peak memory of an edit at real layer sizes, against diffusers' and transformers' components.

    bench/memory.py [--python PYTHON] [--model FOLDER] [--dtypes bf16,f32] [--width 512] [--threads 2] [--json]

Writes a model of FLUX.1 Fill's widths with few blocks (3.8 GiB, removed at the end unless --model names it), edits a square picture
with it for one step, and takes the most that was resident, less an idle process'. The limit is 1.15 x the largest over the
components of its weights in the run's dtype plus what its forward takes in Python. The bf16 run needs a CPU with
avx512_bf16 and is left out elsewhere.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPONENTS = ["text_encoder", "text_encoder_2", "vae_encoder", "transformer", "vae_decoder"]
LIMIT = 1.15
MIB = 2 ** 20


def peak(command):
    """Runs a command; its most resident memory in bytes, and its stdout."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # On a busy machine libgomp's long waiting would make the Python side take minutes.
        child = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "GOMP_SPINCOUNT": "1000"})
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit code {child.returncode}\n{err.read().decode()[-2000:]}")
        return 1024 * usage.ru_maxrss, out.read().decode()


def ours(a, model, dtype, folder):
    idle, _ = peak([a.icedit, "--version"])
    # A square picture: its diptych is the peer's size.
    total, _ = peak([a.icedit, "edit", ROOT / "assets/astronaut.jpg", "make it winter", "--model", model, "--no-lora", "--steps", "1",
                     "--width", str(a.width), "--dtype", dtype, "--threads", str(a.threads), "-o", folder / "out.png", "--force", "-q"])
    return total - idle


def theirs(a, model, dtype):
    for component in COMPONENTS:
        _, out = peak([a.python, ROOT / "bench/peer/memory.py", model, component, "--dtype", dtype, "--width", str(a.width),
                       "--threads", str(a.threads)])
        yield json.loads(out.splitlines()[-1])


def has_bf16():
    return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--python", default=sys.executable, help="with torch, diffusers and transformers (bench/README.md)")
    ap.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    ap.add_argument("--model", type=pathlib.Path, help="kept there, and used again")
    ap.add_argument("--dtypes", default="bf16,f32")
    ap.add_argument("--width", type=int, default=512)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--json", action="store_true")
    a = ap.parse_args()
    a.icedit = a.build / "icedit"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="icedit_bench_"))
    try:
        model = a.model or folder / "model"
        if not (model / "model_index.json").exists():
            peak([a.build / "tools/make_random_checkpoint", model, "--double", "2", "--single", "4", "--t5-layers", "2",
                  "--tokenizers", ROOT / "models/nano/model"])
        for dtype in a.dtypes.split(","):
            if dtype == "bf16" and not has_bf16():
                print("bf16: left out, this CPU has no avx512_bf16", file=sys.stderr)
                continue
            mine = ours(a, model, dtype, folder)
            parts = list(theirs(a, model, dtype))
            most = max(p["weights"] + p["activations"] for p in parts)
            result = dict(benchmark="memory", dtype=dtype, icedit=mine, components=parts, largest=most,
                          ratio=round(mine / most, 3), limit=LIMIT)
            if a.json:
                print(json.dumps(result), flush=True)
                continue
            print(f"{dtype}: icedit {mine / MIB:.0f} MiB, the largest component {most / MIB:.0f} MiB, ratio {mine / most:.3f} (limit {LIMIT})")
            for p in parts:
                print(f"  {p['component']:<15} weights {p['weights'] / MIB:6.0f} MiB, activations {p['activations'] / MIB:6.0f} MiB", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
