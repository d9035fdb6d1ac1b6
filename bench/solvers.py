#!/usr/bin/env python3
"""How near each --solver comes, with few steps, to what very many Euler steps give: nano's held-out edits, in f32.

    bench/solvers.py [--icedit build/release/icedit] [--every N]

Needs numpy and Pillow. The table is that of docs/speed.md."""
import argparse
import pathlib
import tempfile

import numpy as np

from fewer_calls import ROOT, decibels, edits, error

SOLVERS = ("euler", "ab2", "dpmpp-2m")
STEPS = (4, 8, 12, 20, 28)
TRUTH = 200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icedit", default=ROOT / "build/release/icedit")
    parser.add_argument("--every", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        def made(name, options):
            return edits(args, [str(option) for option in options], pathlib.Path(folder) / name)

        truth, _ = made("truth", ["--steps", TRUTH])
        print(f"median PSNR to {TRUTH} Euler steps (10th percentile), of {len(truth)} edits; successes\n")
        print("| steps | " + " | ".join(SOLVERS) + " |\n|---|" + "---|" * len(SOLVERS))
        for steps in STEPS:
            cells = []
            for solver in SOLVERS:
                pixels, rows = made(f"{solver}-{steps}", ["--steps", steps, "--solver", solver])
                psnr = decibels([error(pixels[row], truth[row]) for row in truth])
                cells.append(f"{np.median(psnr):.1f} ({np.percentile(psnr, 10):.1f}) dB; "
                             f"{sum(bool(r['success']) for r in rows.values())}")
            print(f"| {steps} | " + " | ".join(cells) + " |", flush=True)


main()
