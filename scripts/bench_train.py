#!/usr/bin/env python3
"""Compares the training speed and peak memory of Covey and PyTorch on the benchmark model.

Runs of the two sides alternate, so other load of the machine affects both. Without PyTorch, only Covey is measured.
Writes a Markdown file with the result, the CPU, the commit and the command.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from measuring import ROOT, commit, processor, today

TORCH_SCRIPT = Path(__file__).with_name("bench_train_torch.py")
MODEL = "d 256, 8 layers, 8 heads, 4 KV heads, ffn 704, vocab 4096, untied head; sequence 256, batch 8, fp32, AdamW, clipping"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey", help="the program")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-python/bin/python", help="a Python with torch")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results/bench-train.md", help="Markdown file to write")
    return parser.parse_args()


def measure(command, threads):
    """Runs one side and returns its report, the last line on stdout."""
    threads = str(threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        sys.exit(f"error: `{shlex.join(map(str, command))}` failed with exit code {done.returncode}, or without a report")
    return json.loads(lines[-1])


def torch_python(preferred):
    """A Python that imports torch, or `None`."""
    for candidate in (str(preferred), sys.executable):
        try:
            check = subprocess.run([candidate, "-c", "import torch"], capture_output=True)
        except OSError:
            continue
        if check.returncode == 0:
            return candidate
    return None


def commands(options):
    """The command of each side, in the order of the table."""
    sides = {"Covey": [options.covey, "bench", "train", "--steps", str(options.steps)]}
    python = torch_python(options.python)
    if python:
        side = [python, TORCH_SCRIPT, "--steps", str(options.steps), "--threads", str(options.threads)]
        sides["PyTorch"] = side
    else:
        print("no Python with torch: only Covey is measured; `scripts/python_env.sh` installs one", file=sys.stderr)
    return sides


def run_pairs(sides, options):
    reports = {name: [] for name in sides}
    for turn in range(options.pairs):
        for name, command in sides.items():
            report = measure(command, options.threads)
            reports[name].append(report)
            speed, peak = report["tokens_per_second"], report["peak_bytes"] / 1e6
            print(f"{turn + 1}/{options.pairs}  {name:8} {speed:8.0f} tokens/s  {peak:6.0f} MB", file=sys.stderr)
    return reports


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def table(reports):
    rows = [
        "| | tokens/s, median of runs | lowest | highest | ms per step | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in reports.items():
        speeds = [run["tokens_per_second"] for run in runs]
        step = statistics.median(milliseconds for run in runs for milliseconds in run["steps_ms"])
        version = f" {runs[0]['torch']}" if "torch" in runs[0] else ""
        rows.append(
            f"| {name}{version} | {statistics.median(speeds):.0f} | {min(speeds):.0f} | {max(speeds):.0f} "
            f"| {step:.0f} | {median(runs, 'peak_bytes') / 1e6:.0f} |"
        )
    return "\n".join(rows)


def ratios(reports):
    if "PyTorch" not in reports:
        return "PyTorch was not measured."
    covey, torch = reports["Covey"], reports["PyTorch"]
    pairs = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(covey, torch)]
    speed = median(covey, "tokens_per_second") / median(torch, "tokens_per_second")
    memory = median(covey, "peak_bytes") / median(torch, "peak_bytes")
    return (
        f"Covey reaches **{speed:.2f}x** the tokens/s of PyTorch (medians; single pairs {min(pairs):.2f} to "
        f"{max(pairs):.2f}) with **{memory:.2f}x** its peak memory."
    )


def markdown(reports, options):
    command = f"scripts/bench_train.py --pairs {options.pairs} --steps {options.steps} --threads {options.threads}"
    return f"""# Training speed on the CPU

{MODEL}.

{table(reports)}

{ratios(reports)}

- Command: `{command}` (also `just bench-train`); {options.pairs} alternating runs of each side, {options.steps} timed steps each
- CPU: {processor()}, {os.cpu_count()} cores, {options.threads} threads used
- Commit: {commit()}
- Date: {today()}
"""


def main():
    options = arguments()
    if not options.covey.exists():
        sys.exit(f"error: `{options.covey}` is missing; build it with `cargo build --release`")
    reports = run_pairs(commands(options), options)
    text = markdown(reports, options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    print(f"\n{table(reports)}\n\n{ratios(reports)}\n")
    print(f"written to {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
