#!/usr/bin/env python3
"""Compares methods of exchange at equal tokens: preset `tiny`, 4 peers, 15 inner steps, several seeds.

All methods train on the same windows. Writes docs/results/bench-outer.md and bench-outer.svg. Runs in the cache folder
are not repeated, so an interrupted comparison can be continued.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from measuring import ROOT, commit, demo_data, processor, run, today

PEERS, INNER_STEPS, BATCH, LENGTH = 4, 15, 4, 128

# Name, colour, flags: the best of those in docs/results/bench-outer-notes.md.
METHODS = [
    ("AdamW, data-parallel", "#222222", "--method adamw --learning-rate 8e-3"),
    ("DiLoCo", "#1f77b4", "--method diloco --outer-learning-rate 0.2 --learning-rate 8e-3"),
    ("DiLoCo without momentum", "#17becf", "--method diloco-plain --learning-rate 8e-3"),
    ("SparseLoCo reference", "#ff7f0e", "--method reference --outer-learning-rate 0.7 --learning-rate 8e-3"),
    ("SparseLoCo covey", "#d62728", "--method covey --outer-learning-rate 0.7 --learning-rate 8e-3"),
    ("SparseLoCo covey, k = 512", "#9467bd", "--method covey --k 512 --outer-learning-rate 0.3 --learning-rate 8e-3"),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey")
    parser.add_argument("--data", type=Path, help="prepared folder [default: the demo's text]")
    parser.add_argument("--cache", type=Path, default=ROOT / "target/bench-outer")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    return parser.parse_args()


def curve(options, data, flags, seed):
    """The measurements of one run, from the cache if possible."""
    name = f"{flags} --rounds {options.rounds} --seed {seed}".replace("--", "").replace(" ", "-").strip("-")
    path = options.cache / f"{name}.jsonl"
    if not path.exists():
        shape = ["--peers", PEERS, "--inner-steps", INNER_STEPS, "--batch-size", BATCH, "--sequence-length", LENGTH]
        text = run([options.covey, "bench", "outer", "--data", data, "--threads", 1, *shape, *flags.split(),
                    "--rounds", options.rounds, "--seed", seed], stdout=subprocess.PIPE)
        path.write_text(text)
    print(f"{name}: {json.loads(path.read_text().splitlines()[-1])['loss']:.4f}", file=sys.stderr)
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(results):
    best = statistics.mean(run[-1]["loss"] for run in results[METHODS[0][0]])
    rows = ["| | held-out loss | range of seeds | bits per byte | change from AdamW | bytes uploaded per peer |",
            "|---|---:|---:|---:|---:|---:|"]
    for name, _, _ in METHODS:
        last = [run[-1] for run in results[name]]
        losses = [line["loss"] for line in last]
        loss, spread = statistics.mean(losses), max(losses) - min(losses)
        bits = statistics.mean(line["bits_per_byte"] for line in last)
        sent = statistics.mean(line["bytes_per_peer"] for line in last)
        rows.append(f"| {name} | {loss:.4f} | {spread:.4f} | {bits:.4f} | {100 * (loss / best - 1):+.1f} % | "
                    f"{sent / 1e6:,.2f} MB |")
    return "\n".join(rows)


def svg(results):
    """A chart of the loss over tokens, the mean of the seeds."""
    width, height, left, top = 760, 420, 60, 20
    tokens = PEERS * INNER_STEPS * BATCH * LENGTH / 1e6
    points = {name: [(runs[0][i]["round"] * tokens, statistics.mean(run[i]["loss"] for run in runs))
                     for i in range(len(runs[0]))][1:] for name, runs in results.items()}
    most_x = max(x for line in points.values() for x, _ in line)
    low = min(y for line in points.values() for _, y in line)
    high = max(y for line in points.values() for _, y in line)
    place_x = lambda x: left + (width - left - 20) * x / most_x
    place_y = lambda y: top + (height - top - 50) * (high - y) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>']
    for i in range(6):
        y, x = low + (high - low) * i / 5, most_x * i / 5
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{place_y(y):.1f}" y2="{place_y(y):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{place_y(y) + 4:.1f}" text-anchor="end">{y:.2f}</text>')
        parts.append(f'<text x="{place_x(x):.1f}" y="{height - 32}" text-anchor="middle">{x:.1f}</text>')
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 10}" text-anchor="middle">million tokens of all peers; '
                 'held-out loss in nats per token</text>')
    for i, (name, colour, _) in enumerate(METHODS):
        line = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in points[name])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width - 230}" y="{top + 16 + 16 * i}" fill="{colour}">{name}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    options = arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    data = options.data.resolve() if options.data else demo_data(options.covey)
    work = [(name, flags, seed) for seed in options.seeds for name, _, flags in METHODS]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        curves = list(pool.map(lambda item: curve(options, data, item[1], item[2]), work))
    results = {name: [] for name, _, _ in METHODS}
    for (name, _, _), line in zip(work, curves):
        results[name].append(line)
    steps = options.rounds * INNER_STEPS
    notes = options.output / "bench-outer-notes.md"
    text = f"""# Methods of exchange

Preset `tiny`, {PEERS} peers, rounds of {INNER_STEPS} inner steps, {steps} steps per peer with {BATCH} sequences of
{LENGTH} tokens ({steps * PEERS * BATCH * LENGTH / 1e6:.2f} M tokens in total), seeds {', '.join(map(str, options.seeds))}.
Each of the {steps} steps of data-parallel AdamW uses the windows of all peers.

{table(results)}

![held-out loss](bench-outer.svg)

{notes.read_text() if notes.exists() else ''}
- Command: `scripts/bench_outer.py --seeds {' '.join(map(str, options.seeds))}` (also `just bench-outer`)
- Flags of each method: {'; '.join(f'{name}: `{flags}`' for name, _, flags in METHODS)}
- CPU: {processor()}, {os.cpu_count()} cores, 1 thread per run
- Commit: {commit()}
- Date: {today()}
"""
    (options.output / "bench-outer.md").write_text(text)
    (options.output / "bench-outer.svg").write_text(svg(results))
    print(table(results))


main()
