#!/usr/bin/env python3
"""Compares time and peak memory of training with and without sharding and activation checkpointing.

Each variant runs in a separate process. A turn runs all variants, so other load of the machine affects all of them, and
ratios are of times within a turn. Writes a Markdown file with the result, the CPU, the commit and the command.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from measuring import ROOT, commit, processor, run, today

CHECKPOINTING = ["--set", "memory.activation_checkpointing=blocks"]
VARIANTS = {
    "whole weights, plain loop": ["--unsharded"],
    "1 shard": [],
    "1 shard, every 2nd block checkpointed": [*CHECKPOINTING, "--set", "memory.activation_checkpoint_every=2"],
    "1 shard, every block checkpointed": CHECKPOINTING,
    "2 shards on the CPU": ["--set", "run.device=cpu:2"],
    "4 shards on the CPU": ["--set", "run.device=cpu:4"],
    "4 shards, every block checkpointed": ["--set", "run.device=cpu:4", *CHECKPOINTING],
}
BASELINE = "whole weights, plain loop"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="runs of each variant")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey", help="the program")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results/bench-fsdp.md", help="Markdown file to write")
    return parser.parse_args()


def measure(options):
    reports = {name: [] for name in VARIANTS}
    common = ["bench", "train", "--steps", options.steps, "--threads", options.threads]
    for turn in range(options.turns):
        for name, flags in VARIANTS.items():
            report = json.loads(run([options.covey, *common, *flags], stdout=-1))
            reports[name].append(report)
            step, peak = statistics.median(report["steps_ms"]), report["peak_bytes"] / 1e6
            print(f"{turn + 1}/{options.turns}  {name:42} {step:6.0f} ms a step {peak:6.0f} MB", file=sys.stderr)
    return reports


def steps(reports, name):
    return [statistics.median(report["steps_ms"]) for report in reports[name]]


def table(reports):
    rows = ["| | ms per step, median of runs | / whole weights | peak memory, MB | loss of the last step |", "|---|---|---|---|---|"]
    base = steps(reports, BASELINE)
    for name, runs in reports.items():
        own = steps(reports, name)
        ratio = statistics.median(a / b for a, b in zip(own, base))
        peak = statistics.median(report["peak_bytes"] for report in runs) / 1e6
        rows.append(f"| {name} | {statistics.median(own):.0f} | {ratio:.3f}x | {peak:.0f} | {runs[0]['loss_last']:.6f} |")
    return "\n".join(rows)


def markdown(reports, options):
    command = f"scripts/bench_fsdp.py --turns {options.turns} --steps {options.steps} --threads {options.threads}"
    return f"""# Cost of sharding and activation checkpointing

8.0 M parameters (d 256, 8 layers, ffn 704), sequence 256, batch 8, fp32. Shards on one CPU compute in sequence. Their time
shows the overhead of all-gather and reduce-scatter; it does not predict the speed of several devices.

{table(reports)}

Limits: one shard at most 1.03x of whole weights; every block checkpointed at most 1.4x.

- Command: `{command}` (also `just bench-fsdp`)
- CPU: {processor()}, {os.cpu_count()} cores, {options.threads} threads used
- Commit: {commit()}
- Date: {today()}
"""


def main():
    options = arguments()
    if not options.covey.exists():
        sys.exit(f"error: `{options.covey}` is missing; build it with `cargo build --release`")
    reports = measure(options)
    options.output.write_text(markdown(reports, options))
    print(f"\n{table(reports)}\n")
    print(f"written to {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
