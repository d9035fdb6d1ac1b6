#!/usr/bin/env python3
"""Edits of full-size pictures whose right answer is known, through `icedit stage detail`, against plain Lanczos and Lanczos
of an edit that is laid back by the truth.

    bench/detail.py [--icedit build/release/icedit] [--only PART] [--pictures FOLDER] [--json FILE]

Needs numpy, Pillow and safetensors. The table is that of docs/photographs.md."""
import argparse
import collections
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

import synthetic_edits as synthetic

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Stage:
    """icedit stage detail, in a folder for its files."""

    def __init__(self, icedit, threads):
        self.icedit, self.threads = icedit, threads
        self.folder = tempfile.TemporaryDirectory()

    def __call__(self, original, made, **more):
        where, out = (str(pathlib.Path(self.folder.name) / f"{n}.safetensors") for n in ("in", "out"))
        tensors = {"original": original, "source": made.source, "reconstruction": made.reconstruction, "edit": made.edit, **more}
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, where)
        subprocess.run([self.icedit, "stage", "detail", "--in", where, "--out", out, "--force", "--quiet", "--threads",
                        str(self.threads)], check=True)
        return load_file(out)


def psnr(a, b, where=None):
    d = (a.astype(np.float32) - b.astype(np.float32)) ** 2
    d = d.mean(-1)
    mean = d.mean() if where is None else d[where].mean() if where.any() else 0
    return 99.0 if mean == 0 else 10 * np.log10(255.0 ** 2 / mean)


def lanczos(small, like):
    return np.asarray(Image.fromarray(small).resize((like.shape[1], like.shape[0]), Image.LANCZOS))


def grown(mask, pixels):
    """A boolean mask, by a square of 2 pixels + 1."""
    out = mask
    for axis in (0, 1):
        sums = np.cumsum(np.pad(out.astype(np.int32), [(pixels + 1, pixels) if i == axis else (0, 0) for i in (0, 1)]), axis)
        n = mask.shape[axis]
        high = np.take(sums, np.arange(2 * pixels + 1, 2 * pixels + 1 + n), axis)
        out = high - np.take(sums, np.arange(0, n), axis) > 0
    return out


def energy(picture, where):
    g = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    gy, gx = np.gradient(g)
    return float((gx ** 2 + gy ** 2)[where].mean()) if where.any() else 0.0


def measure(case, made, out):
    result = out["result"]
    plain, aligned = lanczos(made.edit, case.truth), lanczos(made.aligned, case.truth)
    factor = case.original.shape[1] / case.width
    edited = (case.truth != case.original).any(-1)
    same = (result == case.original).all(-1)
    near = grown(edited, int(np.ceil(6 * factor)))
    h, w = result.shape[:2]
    content = np.asarray(Image.fromarray(out["map"]).resize((w, h), Image.NEAREST)) == 255
    content &= edited
    row = {"name": case.name, "kind": case.kind, "factor": factor,
           "lanczos": psnr(plain, case.truth), "aligned": psnr(aligned, case.truth), "ours": psnr(result, case.truth),
           "kept": float(out["percent"][0]), "colour": float(out["percent"][1]), "content": float(out["percent"][2])}
    if (~edited).any():
        row["identical"] = 100 * same[~edited].mean()
    if (~near).any():
        row["identical_beyond"] = 100 * same[~near].mean()
    if edited.any() and not edited.all():
        row["edit_aligned"], row["edit_ours"] = psnr(aligned, case.truth, edited), psnr(result, case.truth, edited)
    if content.mean() > 0.002:
        row["content_aligned"], row["content_ours"] = psnr(aligned, case.truth, content), psnr(result, case.truth, content)
        truth = energy(case.truth, content)
        row["sharp_aligned"], row["sharp_ours"] = energy(aligned, content) / truth, energy(result, content) / truth
    if not case.bend:
        sx, sy, zoom = out["registration"][:3]
        half = np.array([case.width / 2, made.source.shape[0] / 2])
        row["misplaced"] = float(np.hypot(*(np.abs(np.array([sx, sy]) - made.shift) + abs(zoom - made.zoom) * half)))
    return row


COLUMNS = ["lanczos", "aligned", "ours", "identical", "identical_beyond", "edit_aligned", "edit_ours", "content_aligned",
           "content_ours", "sharp_aligned", "sharp_ours", "misplaced"]


def table(rows, key):
    groups = collections.OrderedDict()
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    print(f"| {key} | n | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 2))
    for name, group in groups.items():
        def mean(column):
            values = [r[column] for r in group if column in r]
            return f"{np.mean(values):.2f}" if values else ""
        print(f"| {name} | {len(group)} | " + " | ".join(mean(c) for c in COLUMNS) + " |")
    print(flush=True)


def save_strip(folder, case, made, out):
    parts = [case.original, lanczos(made.edit, case.truth), out["result"], case.truth,
             np.repeat(np.asarray(Image.fromarray(out["map"]).resize(case.truth.shape[1::-1], Image.NEAREST))[..., None], 3, 2)]
    strip = np.concatenate(parts, 1)
    Image.fromarray(strip).save(folder / (case.name.replace(" ", "-").replace(",", "") + ".png"))


def run_cases(stage, args):
    rows = []
    for seed, case in enumerate(synthetic.cases()):
        if args.filter and args.filter not in f"{case.kind} {case.name}":
            continue
        made = synthetic.make(case, 100 + seed)
        out = stage(case.original, made)
        rows.append(measure(case, made, out))
        if args.pictures:
            save_strip(args.pictures, case, made, out)
    if args.verbose:
        table(rows, "name")
    table(rows, "kind")
    return rows


def chain(stage):
    """Four local edits, each on what the one before left; the area that none of them touched."""
    p, width = synthetic.originals()["landscape"]
    patch = synthetic.load("coffee.jpg")[60:300, 120:420]
    ours = plain = p
    touched = np.zeros(p.shape[:2], bool)
    for i, (cx, cy) in enumerate(((0.15, 0.3), (0.4, 0.75), (0.85, 0.2), (0.2, 0.8))):
        def edit(q):
            return synthetic.pasted(q, patch, cx, cy, 0.14)
        touched |= (edit(p) != p).any(-1)
        made = synthetic.make(synthetic.Case("", "", ours, edit(ours), width), 900 + i)
        ours = stage(ours, made)["result"]
        made = synthetic.make(synthetic.Case("", "", plain, edit(plain), width), 900 + i)
        plain = lanczos(made.edit, plain)
    free = ~touched
    print(f"four edits in a row, untouched area: Lanczos {psnr(plain, p, free):.1f} dB and "
          f"{100 * (plain == p).all(-1)[free].mean():.1f} % identical, this {psnr(ours, p, free):.1f} dB and "
          f"{100 * (ours == p).all(-1)[free].mean():.1f} %\n", flush=True)


def eightfold(stage):
    worst = []
    for seed, picture in ((3, synthetic.leaves(3, 2048, 1536)), (4, synthetic.landscape(4, 2048, 1536))):
        for edit in (lambda p: p, synthetic.night):
            case = synthetic.Case("", "", picture, edit(picture), 256)
            made = synthetic.make(case, 700 + seed)
            worst.append(measure(case, made, stage(picture, made))["misplaced"])
    print(f"enlarged 8 times: registration off by {max(worst):.3f} pixels of the model at a corner at most, "
          f"{np.mean(worst):.3f} in the mean\n", flush=True)


def cost(args):
    """Time and memory of the function alone: build/release/bench/bench_detail."""
    for size in ("4000x3000", "8000x6000"):
        print(subprocess.run([args.bench, size, str(args.threads)], check=True, capture_output=True, text=True).stdout, end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icedit", default=str(ROOT / "build/release/icedit"))
    parser.add_argument("--bench", default=str(ROOT / "build/release/bench/bench_detail"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["cases", "chain", "eightfold", "cost"])
    parser.add_argument("--filter", help="only cases whose kind or name has this in it")
    parser.add_argument("--pictures", type=pathlib.Path, help="original, Lanczos, result, truth, map of every case")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true", help="a line a case too")
    args = parser.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    stage = Stage(args.icedit, args.threads)
    if args.only in (None, "cases"):
        rows = run_cases(stage, args)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    if args.only in (None, "chain"):
        chain(stage)
    if args.only in (None, "eightfold"):
        eightfold(stage)
    if args.only in (None, "cost"):
        cost(args)


if __name__ == "__main__":
    main()
