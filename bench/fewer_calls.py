#!/usr/bin/env python3
"""What fewer calls of the network cost an edit, and whether the program's own estimate of that is true: the edits of a data
set with --speed, --calls and --reuse-left, compared with those that ask the network in every step.

    bench/fewer_calls.py [--icedit build/release/icedit] [--every N] [--fixed 11]

Needs numpy and Pillow. Computes in f32 on one thread a process. The tables are those of docs/speed.md."""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "models/nano/heldout.parquet"
PICTURES = sorted((ROOT / "assets").glob("*.png"))
STEPS = 28


def program(*words):
    command = [str(word) for word in words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def edits(args, options, out):
    """{row: 8-bit pixels}, {row: its line of results.jsonl}."""
    program(args.icedit, "eval", "--data", DATA, "--every", args.every, "--steps", STEPS, "--dtype", "f32", *options, "-o", out,
            "--json", "--quiet")
    rows = {r["row"]: r for r in map(json.loads, (out / "results.jsonl").read_text().splitlines())}
    return {row: np.asarray(Image.open(out / f"pictures/{row:05d}.png").convert("RGB"), np.float64) for row in rows}, rows


def error(a, b):
    """Root mean square of the difference, in 8-bit levels."""
    return max(((a - b) ** 2).mean() ** 0.5, 1e-3)


def decibels(levels):
    return 20 * np.log10(255 / np.asarray(levels))


def loop_seconds(args, options, folder):
    out = program(args.icedit, "edit", *PICTURES, "make it winter", "--seed", 1, "--steps", STEPS, "--dtype", "f32", *options,
                  "--output-dir", folder, "--force", "--json", "--quiet")
    return out["seconds"]["denoising"]


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icedit", default=ROOT / "build/release/icedit")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--fixed", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    args = parser.parse_args()
    variants = {"exact": [], "balanced": ["--speed", "balanced"], "fast": ["--speed", "fast"],
                f"{args.fixed} calls": ["--calls", args.fixed],
                **{f"--reuse-left {n}": ["--reuse-left", n] for n in (2, 3, 4)}}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        seconds = {name: [] for name in variants}
        for _ in range(args.rounds):
            for name, options in variants.items():
                seconds[name].append(loop_seconds(args, options, folder / "timed"))
        exact, lines = edits(args, [], folder / "exact")
        print("| | calls: mean, least, most | loop | median PSNR | 10th percentile | estimated, median | estimate kept | successes | lost, won |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, options in variants.items():
            ratio = np.median(np.array(seconds["exact"]) / np.array(seconds[name]))
            made, rows = (exact, lines) if name == "exact" else edits(args, options, folder / name.replace(" ", "-"))
            judged = [r for r in rows if lines[r]["success"] is not None]
            won = sum(rows[r]["success"] and not lines[r]["success"] for r in judged)
            lost = sum(lines[r]["success"] and not rows[r]["success"] for r in judged)
            total = f"{sum(rows[r]['success'] for r in judged)} of {len(judged)} | {lost}, {won} |"
            if name == "exact":
                print(f"| exact | {STEPS} | 1.00 x | equal | | | | {total}")
                continue
            order = sorted(rows)
            true = np.array([error(made[r], exact[r]) for r in order])
            speed = [rows[r].get("speed", {"calls": STEPS}) for r in order]  # none where each step asks
            estimate = np.array([s.get("estimated_db", np.nan) for s in speed])
            calls = [s["calls"] for s in speed]
            estimated = f"{np.median(estimate):.1f} dB | {np.mean(decibels(true) >= estimate):.0%}" if "speed" in rows[order[0]] else " | "
            print(f"| {name} | {np.mean(calls):.1f}, {min(calls)}, {max(calls)} | {ratio:.2f} x | {np.median(decibels(true)):.1f} dB | "
                  f"{np.percentile(decibels(true), 10):.1f} dB | {estimated} | {total}", flush=True)
            if "calls" in name:
                said = 255 / 10 ** (estimate / 20)
                ratios = said / true
                kept = true <= np.percentile(true, 95)
                fixed = (f"{name}: {len(order)} edits; estimated over measured error (8-bit levels): median {np.median(ratios):.2f}, 0.5 to 2 in "
                         f"{np.mean((ratios >= 0.5) & (ratios <= 2)):.0%}; correlation {correlation(said, true):.2f}, without the worst twentieth "
                         f"{correlation(said[kept], true[kept]):.2f}")
        print(fixed)


if __name__ == "__main__":
    main()
