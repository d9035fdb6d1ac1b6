#!/usr/bin/env python3
"""Runs every benchmark and its peer in turn, and prints the tables of docs/speed.md. About half an hour on two quiet cores, most of it train_step.

    bench/run.py --python PYTHON [--only denoise,widths,peers,threads,startup,memory,train_step,precision] [--threads 2] [--rounds 2] [-o FILE]

PYTHON has torch, diffusers, transformers and peft, for `peers` also openvino and nncf (bench/README.md), which is not run unless it is named. Without it only our side runs. A benchmark that fails
is reported in its place, and the others go on.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NANO, NANO_LORA = "models/nano/model", "models/nano/lora/pytorch_lora_weights.safetensors"
TINY = "tests/goldens/data/tiny-fill"
MIB = 2 ** 20


class Failed(Exception):
    pass


def run(command, timeout=300, **variables):
    """The JSON objects that a command prints, one a line."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, env={**os.environ, **variables})
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} took more than {timeout} s") from None
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    names = {line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in text.split()]
    return f"{', '.join(sorted(names)) or os.uname().machine} ({' '.join(flags)})", "avx512_bf16" in flags


class Benchmarks:
    def __init__(self, a):
        self.a = a
        self.python = a.python
        self.has_bf16 = cpu()[1]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="icedit_bench_"))
        self.real = a.model or self.folder / "model"

    def real_widths(self):
        if not (self.real / "model_index.json").exists():
            run([self.a.build / "tools/make_random_checkpoint", self.real, "--double", 2, "--single", 4, "--t5-layers", 2,
                 "--tokenizers", NANO])
        return self.real

    def small_models(self):
        cases = [("nano with its LoRA", NANO, ["--lora", NANO_LORA], "f32", 0.6), ("tiny-fill", TINY, [], "f32", 0.45),
                 ("nano with its LoRA", NANO, ["--lora", NANO_LORA], "bf16", 0.65)]
        return [case for case in cases if case[3] in self.a.dtypes.split(",") and (case[3] == "f32" or self.has_bf16)]

    def denoise(self):
        """Warm denoising loop, A B A B."""
        yield from self.denoising(self.small_models())

    def widths(self):
        """The same at FLUX.1 Fill's widths."""
        if not self.has_bf16:
            raise Failed("needs a CPU with AVX-512 BF16")
        yield from self.denoising([("FLUX.1 Fill's widths, 2 + 4 blocks, halves of 512 pixels", self.real_widths(),
                                    ["--half", 512, "--text", 512, "--steps", 1, "--runs", 2], "bf16", None)])

    def denoising(self, cases):
        yield "| denoising step | dtype | icedit | diffusers | ratio (of CPU time) | products' share in diffusers | wanted |"
        yield "|---|---|---|---|---|---|---|"
        for name, model, more, dtype, limit in cases:
            same = [model, *more, "--dtype", dtype, "--threads", self.a.threads]
            mine, theirs, share = [], [], None
            for i in range(self.a.rounds):
                mine += run([self.a.build / "bench/bench_denoise", *same])
                if self.python:
                    profile = ["--profile"] if i == 0 else []
                    theirs += run([self.python, ROOT / "bench/peer/denoise.py", *same, *profile])
                    share = theirs[0].get("share_in_products")
            ours = statistics.median(r["ms_per_step"] for r in mine)
            if not theirs:
                yield f"| {name} | {dtype} | {ours:.2f} ms | - | - | - | |"
                continue
            peer = statistics.median(r["ms_per_step"] for r in theirs)
            of_cpu = statistics.median(r["cpu_ms_per_step"] for r in mine) / statistics.median(r["cpu_ms_per_step"] for r in theirs)
            wanted = f"<= {limit}" if limit else ""
            yield (f"| {name} | {dtype} | {ours:.2f} ms | {peer:.2f} ms | {ours / peer:.2f} ({of_cpu:.2f}) | {100 * share:.0f} % | "
                   f"{wanted} |")

    def peers(self):
        """A step at FLUX.1 Fill's widths and a sixth of its depth or less, against OpenVINO and diffusers; taking turns. Memory: the most in a warm step."""
        if not self.python:
            raise Failed("needs --python")
        model = self.folder / "peers_model"
        run([self.a.build / "tools/make_random_checkpoint", model, "--double", 1, "--single", 2, "--t5-layers", 1, "--tokenizers", NANO])
        same = [model, "--half", 512, "--text", 512, "--threads", self.a.threads]
        ours = lambda dtype, quant: [self.a.build / "bench/bench_denoise", *same, "--steps", 1, "--runs", 5, "--dtype", dtype, "--quant", quant]
        openvino = lambda quant: [self.python, ROOT / "bench/peer/openvino_step.py", *same, "--runs", 5, "--quant", quant]
        diffusers = lambda dtype, quant: [self.python, ROOT / "bench/peer/denoise.py", *same, "--steps", 1, "--runs", 3, "--dtype", dtype, "--quant", quant]
        rows = [("icedit", "f32", ours("f32", "none")), ("diffusers", "f32", diffusers("f32", "none"))]
        if self.has_bf16:
            rows += [("icedit", "bf16", ours("bf16", "none")), ("OpenVINO", "bf16", openvino("none")), ("diffusers", "bf16", diffusers("bf16", "none")),
                     ("icedit", "int8", ours("bf16", "int8")), ("OpenVINO, nncf", "int8", openvino("int8")),
                     ("diffusers, torchao", "int8", diffusers("bf16", "int8"))]
        else:
            rows.append(("icedit", "int8, f32", ours("f32", "int8")))
        found = [[] for _ in rows]
        for _ in range(self.a.rounds):
            for (_, _, command), results in zip(rows, found):
                results.append(run(command, timeout=900)[0])
        of = lambda results, key: statistics.median(r[key] for r in results)
        yield "| 1 + 2 blocks, 2048 + 512 tokens | | a step | memory | icedit's share of its time |"
        yield "|---|---|---|---|---|"
        best = {quant: of(results, "ms_per_step") for (name, quant, _), results in zip(rows, found) if name == "icedit"}
        for (name, quant, _), results in zip(rows, found):
            ms = of(results, "ms_per_step")
            share = f"{best[quant] / ms:.2f}" if name != "icedit" and quant in best else ""
            yield f"| {name} | {quant} | {ms / 1e3:.2f} s | {of(results, 'peak_bytes') / MIB:.0f} MiB | {share} |"

    def threads(self):
        """How long threads wait for each other, and how many there are: a program a figure, taking turns, alone and beside one busy process."""
        most = str(len(os.sched_getaffinity(0)))
        settings = [("as icedit chooses", {}, "0")] + [(f"GOMP_SPINCOUNT={n}, {most} threads", {"GOMP_SPINCOUNT": n}, most)
                                                       for n in ("100", "1000", "10000", "100000", "300000")]
        settings.append(("1 thread", {}, "1"))
        for title, busy in (("nothing else", 0), ("one busy process", 1)):
            if str(busy) not in self.a.busy.split(","):
                continue
            others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
            try:
                cases = self.small_models()
                yield f"| milliseconds a step beside {title} | {' | '.join(f'{name} {dtype}' for name, _, _, dtype, _ in cases)} |"
                yield "|---" * (len(cases) + 1) + "|"
                found = {}
                for _ in range(max(7, self.a.rounds)):
                    for name, variables, threads in settings:
                        for i, (_, model, more, dtype, _) in enumerate(cases):
                            r = run([self.a.build / "bench/bench_denoise", model, *more, "--dtype", dtype, "--runs", 3, "--threads", threads],
                                    **variables)
                            found.setdefault((name, i), []).append(r[0]["ms_per_step"])
                for name, _, _ in settings:
                    yield f"| {name} | {' | '.join(f'{statistics.median(found[name, i]):.1f}' for i in range(len(cases)))} |"
                yield ""
            finally:
                for other in others:
                    other.kill()
                    other.wait()

    def startup(self):
        """From process start to the end of the first denoising step of tiny-fill."""
        if not self.python:
            raise Failed("needs --python")
        r = run([sys.executable, ROOT / "bench/startup.py", "--json", "--python", self.python, "--build", self.a.build,
                 "--threads", self.a.threads])[0]
        yield "| start to the first step | icedit | `icedit --version` alone, to its end | diffusers | wanted |"
        yield "|---|---|---|---|---|"
        s = r["seconds"]
        yield f"| tiny-fill, halves of 64 pixels | {s['icedit']:.2f} s | {s['icedit --version']:.2f} s | {s['diffusers']:.2f} s | < 0.6 s |"

    def memory(self):
        """Peak memory of an edit at real layer sizes."""
        if not self.python:
            raise Failed("needs --python")
        results = run([sys.executable, ROOT / "bench/memory.py", "--json", "--python", self.python, "--build", self.a.build,
                       "--model", self.real_widths(), "--threads", self.a.threads], timeout=1200)
        yield "| edit, halves of 512 pixels | icedit, less idle | largest component in Python | of it activations | ratio | wanted |"
        yield "|---|---|---|---|---|---|"
        for r in results:
            largest = max(r["components"], key=lambda c: c["weights"] + c["activations"])
            yield (f"| {r['dtype']} | {r['icedit'] / MIB:.0f} MiB | {r['largest'] / MIB:.0f} MiB ({largest['component']}) | "
                   f"{largest['activations'] / MIB:.0f} MiB | {r['ratio']:.3f} | <= {r['limit']} |")

    def train_step(self):
        """A training step at real layer sizes, A B A B. bf16 against two peers: f32 adapters as ours, bf16 ones as ICEdit's code has them."""
        model = self.folder / "train_model"
        run([self.a.build / "tools/make_random_checkpoint", model, "--double", 1, "--single", 2, "--t5-layers", 1, "--tokenizers", NANO])
        same = [model, "configs/normal_lora.yaml", "--threads", self.a.threads]
        yield "| training step | recomputing | icedit | diffusers + peft | ratio (of CPU time) | memory | theirs | ratio | wanted |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for dtype in [d for d in self.a.dtypes.split(",") if self.has_bf16 or d != "bf16"]:
            for recompute in (0, 1):
                case = [*same, "--dtype", dtype, "--checkpointing", recompute]
                adapters = [dtype] if dtype == "f32" else ["f32", "bf16"]
                mine, theirs = [], {adapter: [] for adapter in adapters}
                for _ in range(self.a.rounds):
                    mine += run([self.a.build / "bench/bench_train_step", *case], timeout=1800)
                    for adapter in adapters if self.python else []:
                        peer = [self.python, ROOT / "bench/peer/train_step.py", *case, "--adapter", adapter]
                        theirs[adapter] += run(peer, timeout=1800)
                of = lambda results, key: statistics.median(r[key] for r in results)
                for adapter, results in theirs.items():
                    name, how = f"{dtype}, {adapter} adapters", "yes" if recompute else "no"
                    ours = f"| {name} | {how} | {of(mine, 'seconds'):.2f} s |"
                    if not results:
                        yield f"{ours} - | - | {of(mine, 'memory') / MIB:.0f} MiB | - | - | |"
                        continue
                    ratio = {key: of(mine, key) / of(results, key) for key in ("seconds", "cpu_seconds", "memory")}
                    yield (f"{ours} {of(results, 'seconds'):.2f} s | {ratio['seconds']:.2f} ({ratio['cpu_seconds']:.2f}) | "
                           f"{of(mine, 'memory') / MIB:.0f} MiB | {of(results, 'memory') / MIB:.0f} MiB | {ratio['memory']:.2f} | <= 1, <= 1 |")

    def precision(self):
        """bf16 against f32, each stage on the f32 run's inputs."""
        stages = ["clip", "t5", "vae-encode", "transformer", "denoise", "vae-decode"]
        yield f"| model | {' | '.join(stages)} | edit, 8-bit levels: mean, max |"
        yield "|---" * (len(stages) + 2) + "|"
        cases = [("nano", NANO, ["--lora", NANO_LORA, "--width", 96, "--text", 44]), ("tiny-fill", TINY, ["--width", 64]),
                 ("tiny-fill, guidance 50 not rounded in f32", TINY, ["--width", 64, "--guidance", 50])]
        if self.has_bf16:
            cases.append(("random, real widths", self.real_widths(), ["--width", 128, "--steps", 4, "--text", 128]))
        for name, model, more in cases:
            r = run([self.a.build / "bench/bench_precision", model, *more, "--threads", self.a.threads])[0]
            errors = " | ".join(f"{100 * r[stage]['relative_rms']:.2f} %" for stage in stages)
            yield f"| {name} | {errors} | {r['edit']['mean_levels']:.2f}, {r['edit']['max_levels']:.0f} |"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--python", help="with torch, diffusers, transformers and peft")
    ap.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    ap.add_argument("--model", type=pathlib.Path, help="where the model of real widths is, or is kept (3.8 GiB)")
    ap.add_argument("--only", default="denoise,widths,threads,startup,memory,train_step,precision")
    ap.add_argument("--dtypes", default="f32,bf16", help="of denoise, threads, train_step")
    ap.add_argument("--busy", default="0,1", help="of threads: beside how many busy processes, 0, 1 or both")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=2)
    ap.add_argument("-o", "--output", type=pathlib.Path, help="write the tables there too")
    a = ap.parse_args()
    a.build = a.build.resolve()
    lines = []

    def say(line):
        print(line, flush=True)
        lines.append(line)

    say(f"{cpu()[0]}, {a.threads} of {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before the run\n")
    failed = False
    benchmarks = Benchmarks(a)
    try:
        for name in a.only.split(","):
            start = time.monotonic()
            try:
                for line in getattr(benchmarks, name)():
                    say(line)
            except (Failed, KeyError, IndexError, ValueError, TypeError) as error:
                failed = True
                say(f"{name}: failed: {error}")
            say("")
            print(f"({name}: {time.monotonic() - start:.0f} s)", file=sys.stderr)
    finally:
        shutil.rmtree(benchmarks.folder, ignore_errors=True)
    if a.output:
        a.output.write_text("\n".join(lines))
    sys.exit(1 if failed else 0)


main()
