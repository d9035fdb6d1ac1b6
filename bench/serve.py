#!/usr/bin/env python3
"""icedit serve under load, with figures (docs/serving.md has ours). Needs the program and nothing else; the page's time needs Chromium.

    bench/serve.py [overhead] [page] [slow] [malformed] [soak] [lora]     all without a name; ICEDIT_BINARY names another program
"""
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e/serve"))
import browser  # noqa: E402
import load  # noqa: E402
from serve_program import ROOT, Server, edited  # noqa: E402

LORA = str(ROOT / "models/nano/lora/pytorch_lora_weights.safetensors")
ONE_STEP = ("--seed", "3", "--steps", "1")


def overhead():
    with Server() as server:
        load.edit_times(server, 5)
        posts, edits = load.edit_times(server, 40)
        rest = sorted(post - edit for post, edit in zip(posts, edits))
        print(f"overhead: POST {1e3 * statistics.median(posts):.1f} ms, the edit in it {1e3 * statistics.median(edits):.1f} ms, "
              f"the rest {1e3 * statistics.median(rest):.2f} ms (median of 40; the largest {1e3 * rest[-1]:.1f} ms)")


def page():
    if not browser.is_there():
        return print("page: there is no Chromium")
    with Server() as server, browser.Browser() as chromium:
        times = []
        for _ in range(10):
            chromium.cdp("Network.clearBrowserCache")
            chromium.open(f"http://127.0.0.1:{server.port}/")
            chromium.wait(lambda: chromium.is_shown("#examples button"), "the page")
            times.append(chromium.run("return Math.max(...performance.getEntriesByType('resource').map(e => e.responseEnd))"))
        size = chromium.run("return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
                            ".reduce((sum, e) => sum + e.transferSize, 0)")
        print(f"page: {size / 1e3:.1f} kB, the last byte after {statistics.median(times):.0f} ms (median of 10)")


def slow():
    with Server() as server:
        f = load.beside_slow_clients(server, 200, 20)
        print(f"slow: beside {f['connections']:.0f} connections an edit takes {1e3 * f['beside']:.0f} ms, alone {1e3 * f['alone']:.0f} ms: "
              f"{f['beside'] / f['alone']:.2f} times")


def malformed():
    with Server("--api-key", "secret") as server:
        f = load.malformed(server, 10_000, "secret")
        print(f"malformed: 10000 requests, {f['answered']} answered, {f['let_in']} let in; resident "
              f"{f['resident_before'] / 1e6:.0f} -> {f['resident_after'] / 1e6:.0f} MB")


def told(name, f, mark):
    print(f"{name}: {f['wrong']} wrong, {f['refused']} times 503, {f['seconds']:.0f} s; resident after {mark} {f['resident_at_mark'] / 1e6:.1f} MB, "
          f"at the end {(f['resident_at_end'] - f['resident_at_mark']) / 1e6:+.1f} MB")


def soak():
    with Server("--queue", "16") as server:
        told("soak, 2000 edits of 50 clients", load.soak(server, 2000, 50, {None: edited("desert-car.png", "make the car red", *ONE_STEP)}, 500), 500)


def lora():
    expected = {"half": edited("desert-car.png", "make the car red", *ONE_STEP, "--lora", LORA + ":0.5"),
                "none": edited("desert-car.png", "make the car red", *ONE_STEP, "--no-lora")}
    with Server("--lora", f"half={LORA}:0.5") as server:
        told("lora, 1000 switches", load.soak(server, 1000, 1, expected, 250, lambda i: ("half", "none")[i % 2]), 250)


ALL = {f.__name__: f for f in (overhead, page, slow, malformed, soak, lora)}

if __name__ == "__main__":
    names = sys.argv[1:] or list(ALL)
    if unknown := [n for n in names if n not in ALL]:
        sys.exit(f"{__doc__}\nno such part: {', '.join(unknown)}")
    for name in names:
        ALL[name]()
