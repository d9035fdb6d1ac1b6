#!/usr/bin/env python3
"""What storing a transformer in fewer bits costs: the edits of a data set compared with those of the exact weights.

    bench/gguf_error.py [--icedit build/release/icedit] [--every N] [--types Q8_0,Q4_0,convert:q4_k,convert:int4,Q4_0:int8] [--ggml LIBRARY]

Q8_0 and the like: all matrices quantised by gguf-py, or, of the K types, by LIBRARY, a shared library with ggml's
ggml_quantize_q6_K and the like (one is in PyPI's ctransformers 0.2.27). convert:TYPE: the file that `icedit convert --quant TYPE`
writes. TYPE:int8: computed with --gguf-compute int8. Needs numpy, Pillow, safetensors and gguf. Computes in f32, so that the
difference is the weights' alone (with int8 and int4 that of inputs in 8 bits, too). The table is that of docs/speed.md."""
import argparse
import ctypes
import json
import pathlib
import shutil
import subprocess
import tempfile

import gguf
import numpy as np
from gguf.quants import dequantize, quantize
from PIL import Image
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRANSFORMER = ROOT / "models/nano/model/transformer"
DATA = ROOT / "models/nano/heldout.parquet"


def quantised(tensor, kind, ggml):
    try:
        return quantize(tensor, kind)
    except NotImplementedError:
        if ggml is None:
            raise SystemExit(f"{kind.name} needs --ggml LIBRARY")
    block, size = gguf.GGML_QUANT_SIZES[kind]
    packed = np.zeros((tensor.shape[0], tensor.shape[1] // block * size), np.uint8)
    counts = (ctypes.c_int64 * 256)()
    tensor = np.ascontiguousarray(tensor)
    getattr(ggml, f"ggml_quantize_{kind.name[:2].lower()}_K")(tensor.ctypes.data_as(ctypes.c_void_p), packed.ctypes.data_as(ctypes.c_void_p),
                                                              ctypes.c_int(tensor.size), ctypes.c_int(tensor.size), counts)
    return packed


class GgmlParameters(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def ggml_library(path):
    """Its tables of f16 are made by ggml_init."""
    library = ctypes.CDLL(path)
    library.ggml_init.restype, library.ggml_init.argtypes = ctypes.c_void_p, [GgmlParameters]
    library.ggml_init(GgmlParameters(1 << 20, None, False))
    return library


def write(folder, tensors, kind, ggml):
    """A component's folder with the matrices as `kind`; returns bytes, and the relative L2 error of what was quantised."""
    folder.mkdir()
    shutil.copy(TRANSFORMER / "config.json", folder)
    writer = gguf.GGUFWriter(folder / "model.gguf", "flux")
    error = square = 0
    for name, tensor in tensors.items():
        tensor = tensor.astype(np.float32)
        if kind is None or tensor.ndim != 2 or tensor.shape[1] % gguf.GGML_QUANT_SIZES[kind][0]:
            writer.add_tensor(name, tensor)
            continue
        packed = quantised(tensor, kind, ggml)
        error += float(((dequantize(packed, kind) - tensor) ** 2).sum())
        square += float((tensor ** 2).sum())
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "model.gguf").stat().st_size, (error / square) ** 0.5 if square else 0


def convert(icedit, folder, kind):
    """The same by icedit convert; bytes."""
    folder.mkdir()
    shutil.copy(TRANSFORMER / "config.json", folder)
    file = folder / ("model.safetensors" if kind.startswith("int") else "model.gguf")
    subprocess.run([str(icedit), "convert", "--quant", kind, "--model", "nano", "-o", str(file), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return file.stat().st_size, None


def edits(icedit, transformer, out, every, more):
    command = [icedit, "eval", "--data", DATA, "--every", str(every), "--dtype", "f32", "--transformer", transformer, "-o", out,
               "--json", "--quiet", *more]
    summary = json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout)
    pictures = {p.name: np.asarray(Image.open(p).convert("RGB"), np.float64) for p in sorted(out.rglob("*.png"))
                if "sheet" not in p.name}
    return summary, pictures


def block_output(icedit, model, folder, more):
    """What the first block adds to random image tokens, in f32."""
    random = np.random.default_rng(0)
    side, text = 8, 16
    ids = np.stack([np.zeros(side * side), *np.divmod(np.arange(side * side), side)], 1)
    inputs = {"hidden_states": random.normal(size=(1, side * side, 384)), "encoder_hidden_states": random.normal(size=(1, text, 128)),
              "pooled_projections": random.normal(size=(1, 96)), "timestep": np.array([0.7]), "guidance": np.array([50.0]),
              "img_ids": ids, "txt_ids": np.zeros((text, 3))}
    save_file({f"input.{k}": np.ascontiguousarray(v, np.float32) for k, v in inputs.items()}, folder / "in.safetensors")
    subprocess.run([str(part) for part in [icedit, "stage", "transformer", "--model", "nano", "--no-lora", "--dtype", "f32", "--transformer", model,
                                           "--in", folder / "in.safetensors", "--out", folder / "out.safetensors", "--all", "--force", "--quiet", *more]],
                   check=True, stdout=subprocess.DEVNULL)
    out = load_file(folder / "out.safetensors")
    return out["out.transformer_blocks.0.hidden_states"] - out["out.x_embedder"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icedit", default=ROOT / "build/release/icedit")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--types", default="Q8_0,Q6_K,Q5_K,Q4_K,Q4_1,Q4_0,Q3_K,Q2_K,convert:q8_0,convert:q4_k,convert:q4_0,Q4_0:int8,"
                                           "convert:int8,convert:int4")
    parser.add_argument("--ggml", type=ggml_library)
    args = parser.parse_args()
    tensors = {}
    for file in TRANSFORMER.glob("*.safetensors"):
        tensors.update(load_file(file))
    print("| type | file | relative L2 error of the matrices | of a block | median PSNR to the exact edit | 10th percentile | successes |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        exact = block = None
        for kind in [None] + args.types.split(","):
            name = kind or "F32"
            place = folder / name.replace(":", "-")
            if name.startswith("convert:"):
                size, error = convert(args.icedit, place, name.split(":")[1])
            else:
                size, error = write(place, tensors, gguf.GGMLQuantizationType[kind.split(":")[0]] if kind else None, args.ggml)
            more = ["--gguf-compute", "int8"] if name.endswith("_0:int8") else []
            model = next(place.glob("model.*"))
            summary, pictures = edits(args.icedit, model, folder / f"{place.name}-edits", args.every, more)
            added = block_output(args.icedit, model, folder, more)
            if exact is None:
                exact, block = pictures, added
            psnr = [10 * np.log10(255 ** 2 / max(((pictures[p] - exact[p]) ** 2).mean(), 1e-9)) for p in exact]
            shown = "equal" if kind is None else f"{np.median(psnr):.1f} dB"
            low = "" if kind is None else f"{np.percentile(psnr, 10):.1f} dB"
            success = summary.get("total", summary)
            print(f"| {name} | {size / 2 ** 20:.1f} MiB | {'' if error is None else f'{error:.4f}'} | "
                  f"{np.linalg.norm(added - block) / np.linalg.norm(block):.4f} | {shown} | {low} | {success['successes']} of {success['judged']} |", flush=True)


if __name__ == "__main__":
    main()
