#!/usr/bin/env python3
"""What storing a transformer in GGUF's types costs: its matrices are quantised by gguf-py, the edits of a data set compared
with those of the exact weights.

    bench/gguf_error.py [--icedit build/release/icedit] [--every N] [--types Q8_0,Q4_0]

Needs numpy, Pillow, safetensors and gguf. Computes in f32, so that the difference is the weights' alone. The table is that of
docs/speed.md."""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import gguf
import numpy as np
from gguf.quants import dequantize, quantize
from PIL import Image
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRANSFORMER = ROOT / "models/nano/model/transformer"
DATA = ROOT / "models/nano/heldout.parquet"
BLOCK = 32  # of the types that gguf-py can write


def write(folder, tensors, kind):
    """A component's folder with the matrices as `kind`; returns bytes, and the relative L2 error of what was quantised."""
    folder.mkdir()
    shutil.copy(TRANSFORMER / "config.json", folder)
    writer = gguf.GGUFWriter(folder / "model.gguf", "flux")
    error = square = 0
    for name, tensor in tensors.items():
        tensor = tensor.astype(np.float32)
        if kind is None or tensor.ndim != 2 or tensor.shape[1] % BLOCK:
            writer.add_tensor(name, tensor)
            continue
        packed = quantize(tensor, kind)
        error += float(((dequantize(packed, kind) - tensor) ** 2).sum())
        square += float((tensor ** 2).sum())
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "model.gguf").stat().st_size, (error / square) ** 0.5 if square else 0


def edits(icedit, transformer, out, every):
    command = [icedit, "eval", "--data", DATA, "--every", str(every), "--dtype", "f32", "--transformer", transformer, "-o", out,
               "--json", "--quiet"]
    summary = json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout)
    pictures = {p.name: np.asarray(Image.open(p).convert("RGB"), np.float64) for p in sorted(out.rglob("*.png"))
                if "sheet" not in p.name}
    return summary, pictures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icedit", default=ROOT / "build/release/icedit")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--types", default="Q8_0,Q5_1,Q5_0,Q4_1,Q4_0")
    args = parser.parse_args()
    tensors = {}
    for file in TRANSFORMER.glob("*.safetensors"):
        tensors.update(load_file(file))
    print("| type | file | relative L2 error of the matrices | median PSNR to the exact edit | 10th percentile | successes |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        exact = None
        for kind in [None] + args.types.split(","):
            name = kind or "F32"
            size, error = write(folder / name, tensors, gguf.GGMLQuantizationType[kind] if kind else None)
            summary, pictures = edits(args.icedit, folder / name / "model.gguf", folder / f"{name}-edits", args.every)
            if exact is None:
                exact = pictures
            psnr = [10 * np.log10(255 ** 2 / max(((pictures[p] - exact[p]) ** 2).mean(), 1e-9)) for p in exact]
            shown = "equal" if kind is None else f"{np.median(psnr):.1f} dB"
            low = "" if kind is None else f"{np.percentile(psnr, 10):.1f} dB"
            success = summary.get("total", summary)
            print(f"| {name} | {size / 2 ** 20:.1f} MiB | {error:.4f} | {shown} | {low} | {success['successes']} of {success['judged']} |", flush=True)


if __name__ == "__main__":
    main()
