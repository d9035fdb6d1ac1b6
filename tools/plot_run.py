#!/usr/bin/env python3
"""Learning curves of training runs as a picture (docs/training.md shows one). Needs matplotlib, which nothing else here does.

    tools/plot_run.py RUN [RUN...] -o curves.png

Left: the running loss of RUN/metrics.jsonl. Right, where there is any: successes on held-out rows, of every
RUN/eval/step-N/summary.json, as `icedit eval --lora RUN/step-N -o RUN/eval/step-N` writes it; solid the tasks of --new, dashed the others.
For a mixture: the share of tokens that each layer's router sent to each expert, in the first tenth of the run and in the last.
"""
import argparse
import json
import pathlib
import re
import sys

NEW = "style_fog,style_alien,style_duotone,style_vignette,style_mosaic"


def losses(run):
    file = run / "metrics.jsonl"
    if not file.is_file():
        sys.exit(f"{file}: there is no such file; give folders that `icedit train` wrote")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    by_step = {line["step"]: line["loss_running"] for line in lines if "loss_running" in line}  # a resumed run repeats steps
    return sorted(by_step.items())


def successes(run, new):
    """[(step, share of the new tasks' rows, share of the others')]"""
    points = []
    for file in run.glob("eval/step-*/summary.json"):
        won, judged = [0, 0], [0, 0]
        for task in json.loads(file.read_text())["tasks"]:
            other = task["task"] not in new
            won[other] += task["successes"]
            judged[other] += task["judged"]
        step = int(re.search(r"step-(\d+)", file.parent.name)[1])
        points.append((step, *(100 * w / j if j else float("nan") for w, j in zip(won, judged))))
    return sorted(points)


def expert_shares(run):
    """{layer: ([share of each expert, early], [late])}; empty without experts"""
    seen = [line["experts"] for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "experts" in line]
    some = max(1, len(seen) // 10)
    mean = lambda lines, layer: [sum(column) / len(lines) for column in zip(*(line[layer] for line in lines))]
    return {layer: (mean(seen[:some], layer), mean(seen[-some:], layer)) for layer in (seen[0] if seen else ())}


def draw_experts(axis, shares):
    rows = [(f"{layer.removesuffix('.ff.net.2').removesuffix('.proj_out')}, {when}", share)
            for layer, both in shares.items() for when, share in zip(("early", "late"), both)]
    for expert in range(len(rows[0][1])):
        left = [100 * sum(share[:expert]) for _, share in rows]
        axis.barh(range(len(rows)), [100 * share[expert] for _, share in rows], left=left, label=f"expert {expert}")
    axis.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set(xlabel="share of tokens, %", xlim=(0, 100))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN")
    parser.add_argument("-o", required=True, type=pathlib.Path, metavar="PNG")
    parser.add_argument("--new", default=NEW, help="the tasks that are learnt, with commas between (default: %(default)s)")
    args = parser.parse_args()
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    evals = {run: successes(run, args.new.split(",")) for run in args.runs}
    mixtures = [shares for shares in map(expert_shares, args.runs) if shares]
    panels = 1 + any(evals.values()) + len(mixtures)
    figure, axes = pyplot.subplots(1, panels, figsize=(5.5 * panels, 4), squeeze=False)
    for run in args.runs:
        line, = axes[0][0].plot(*zip(*losses(run)), label=run.name)
        if evals[run]:
            steps, new, others = zip(*evals[run])
            axes[0][1].plot(steps, new, "o-", color=line.get_color(), label=f"{run.name}: new tasks")
            axes[0][1].plot(steps, others, "o--", color=line.get_color(), label=f"{run.name}: the others")
    axes[0][0].set(xlabel="step", ylabel="running loss", yscale="log")
    if any(evals.values()):
        axes[0][1].set(xlabel="step", ylabel="successes on held-out rows, %", ylim=(0, 100))
    for axis, shares in zip(axes[0][panels - len(mixtures):], mixtures):
        draw_experts(axis, shares)
    for axis in axes[0]:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="lower right" if axis is not axes[0][0] else "best")
    figure.tight_layout()
    figure.savefig(args.o, dpi=110)


if __name__ == "__main__":
    main()
