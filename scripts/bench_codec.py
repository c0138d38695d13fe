#!/usr/bin/env python3
"""Compares the codec with a plain PyTorch implementation on real pseudo-gradients, with one thread each.

Without `--file`, the pseudo-gradients come from a run of the preset `tiny`. Runs of the two sides alternate, so other
load of the machine affects both. Writes a Markdown file with the result, the CPU, the commit and the command.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import ROOT, commit, demo_data, processor, run, today

TORCH_SCRIPT = Path(__file__).with_name("bench_codec_torch.py")
GRADIENTS = "target/bench-codec/pseudo-gradients.safetensors"

# Limits of the default profile.
MOST_POSITION_BITS, LEAST_COMPRESSION, BOUND_BITS, LEAST_SPEEDUP = 7.5, 214.0, 9.364, 10.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, help="pseudo-gradients [default: of a run of `tiny`]")
    parser.add_argument("--source", default="", help="origin of the file, for the report")
    parser.add_argument("--turns", type=int, default=5, help="runs of each side")
    parser.add_argument("--passes", type=int, default=5, help="passes over all rounds in a run")
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey", help="the program")
    parser.add_argument("--codec", type=Path, help="the example `codec_bench` [default: build it]")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-python/bin/python", help="a Python with torch")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results/bench-codec.md", help="Markdown file to write")
    return parser.parse_args()


def pseudo_gradients(options):
    if options.file:
        return options.file.resolve()
    path = ROOT / GRADIENTS
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = ["--peers", 1, "--rounds", 24, "--batch-size", 8, "--sequence-length", 256]
    run([options.covey, "bench", "pseudo-gradients", "--data", demo_data(options.covey), *shape, "--output", path])
    return path


def codec_program(options):
    if options.codec:
        return options.codec.resolve()
    features = ["--package", "covey-optim", "--no-default-features", "--example", "codec_bench"]
    built = run(["cargo", "build", "--release", "--message-format", "json", *features], stdout=subprocess.PIPE)
    executables = [json.loads(line).get("executable") for line in built.splitlines() if line.startswith("{")]
    return next(path for path in reversed(executables) if path)


def torch_python(preferred):
    """A Python that imports torch, or `None`."""
    for candidate in (str(preferred), sys.executable):
        try:
            check = subprocess.run([candidate, "-c", "import torch, safetensors"], capture_output=True)
        except OSError:
            continue
        if check.returncode == 0:
            return candidate
    print("no Python with torch: only Covey is measured; `scripts/python_env.sh` installs one", file=sys.stderr)
    return None


def measure(command):
    """Runs one side; its last line on stdout is the report."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return json.loads(run(command, env=environment, stdout=subprocess.PIPE).strip().splitlines()[-1])


def take_turns(options, path):
    ours, torch = [], []
    codec, python = codec_program(options), torch_python(options.python)
    for turn in range(options.turns):
        ours.append(measure([codec, path, options.passes])["profiles"])
        line = " ".join(f"{p['profile']} {speed_text(p)}" for p in ours[-1])
        if python:
            torch.append(measure([python, TORCH_SCRIPT, path, "--passes", options.passes]))
            line += f"  PyTorch {speed_text(torch[-1])}"
        print(f"{turn + 1}/{options.turns}  {line}", file=sys.stderr)
    return ours, torch


def speed_text(report):
    return f"{report['compress_mb_per_second']:.0f} + {report['aggregate_mb_per_second']:.0f} MB/s"


def median(reports, key):
    return statistics.median(report[key] for report in reports)


def sizes(profiles):
    rows = [
        "| profile | bits per value: position | code | overhead | total | size of fp32 / size |",
        "|---|---|---|---|---|---|",
    ]
    for p in profiles:
        rows.append(
            f"| {p['profile']} | {p['position_bits']:.3f} | {p['code_bits']:.3f} | {p['overhead_bits']:.3f} "
            f"| {p['bits']:.3f} | {p['compression']:.1f}x |"
        )
    rows.append("| fixed width, 64 of 4096 | 12 | 2 | 0 | 14 | 146.3x |")
    rows.append(f"| lower bound for uniform positions, 64 of 4096 | 7.364 | 2 | 0 | {BOUND_BITS} | 218.7x |")
    return "\n".join(rows)


def speeds(ours, torch):
    rows = [
        "| | compress and encode, MB/s | / PyTorch | decode and average 20 peers, MB/s | / PyTorch |",
        "|---|---|---|---|---|",
    ]
    for index, profile in enumerate(ours[0]):
        reports = [turn[index] for turn in ours]
        cells = []
        for key in ("compress_mb_per_second", "aggregate_mb_per_second"):
            cells += [f"{median(reports, key):.0f}", ratio(reports, torch, key)]
        rows.append(f"| Covey, profile {profile['profile']} | {' | '.join(cells)} |")
    if torch:
        compress, aggregate = (median(torch, key) for key in ("compress_mb_per_second", "aggregate_mb_per_second"))
        rows.append(f"| PyTorch {torch[0]['torch']} | {compress:.0f} | | {aggregate:.0f} | |")
    return "\n".join(rows)


def ratio(reports, torch, key):
    if not torch:
        return "not measured"
    pairs = [a[key] / b[key] for a, b in zip(reports, torch)]
    return f"{median(reports, key) / median(torch, key):.1f}x (pairs {min(pairs):.1f} to {max(pairs):.1f})"


def bars(ours, torch):
    """Returns a table of the limits of the default profile with the measured values, and true if all hold."""
    reports = [turn[0] for turn in ours]
    first = reports[0]
    checks = [
        (f"positions at most {MOST_POSITION_BITS} bits", first["position_bits"], first["position_bits"] <= MOST_POSITION_BITS),
        (f"compression at least {LEAST_COMPRESSION:.0f}x", first["compression"], first["compression"] >= LEAST_COMPRESSION),
        (f"total below {BOUND_BITS} bits", first["bits"], first["bits"] < BOUND_BITS),
    ]
    for name, key in (("compress", "compress_mb_per_second"), ("decode and average", "aggregate_mb_per_second")):
        if torch:
            speedup = median(reports, key) / median(torch, key)
            checks.append((f"{name}: at least {LEAST_SPEEDUP:.0f}x PyTorch", speedup, speedup >= LEAST_SPEEDUP))
    rows = ["| limit, profile covey | measured | |", "|---|---|---|"]
    rows += [f"| {name} | {value:.3f} | {'holds' if holds else '**missed**'} |" for name, value, holds in checks]
    return "\n".join(rows), all(holds for *_, holds in checks)


def markdown(tables, ours, options):
    first = ours[0][0]
    flags = f"--turns {options.turns} --passes {options.passes}" + (" --file FILE" if options.file else "")
    source = options.source if options.file else "`covey bench pseudo-gradients` (preset `tiny`, rounds of 15 steps)"
    return f"""# Size and speed of compression

{first['rounds']} rounds of one peer with {first['megabytes']:.1f} MB of fp32 parameters, k = 64 of 4096, with error feedback.
The last 20 rounds serve as the deltas of 20 peers. Each side uses one thread. MB are megabytes of fp32 parameters, counted
once for 20 peers. A run reports its fastest round; the table contains the medians of the runs.

{tables}

The PyTorch side (`scripts/bench_codec_torch.py`) computes the profile `reference` with whole-tensor operations and writes
codes of fixed width. The profile `reference` of Covey adds in the same order as PyTorch, which is slower.

- Command: `scripts/bench_codec.py {flags}` (also `just bench-codec`)
- Pseudo-gradients: {source or "a given file"}
- CPU: {processor()}, {os.cpu_count()} cores, 1 thread used
- Commit: {commit()}
- Date: {today()}
"""


def round_shares(covey):
    """Shares of the time of a round in the demo: two peers and a validator that share a folder."""
    with tempfile.TemporaryDirectory() as folder:
        run([covey, "demo", "--steps", 150, "--output", Path(folder) / "demo"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        rounds = [json.loads(line) for peer in (1, 2)
                  for line in (Path(folder) / f"demo/peer-{peer}/metrics.jsonl").read_text().splitlines()]
    rounds = [line for line in rounds if line["kind"] == "round" and line["train_seconds"] > 0]
    parts = {part: sum(line[f"{part}_seconds"] for line in rounds) for part in ("train", "exchange", "wait")}
    whole = sum(parts.values())
    return (
        f"Time of a round of `tiny` over a folder, with two peers and a validator on this machine ({len(rounds)} rounds): inner "
        f"steps {100 * parts['train'] / whole:.1f} %, exchange {100 * parts['exchange'] / whole:.1f} % (compress, save a "
        f"checkpoint, publish, fetch, apply), waiting for other peers and the validator {100 * parts['wait'] / whole:.1f} %."
    )


def main():
    options = arguments()
    ours, torch = take_turns(options, pseudo_gradients(options))
    verdicts, all_hold = bars(ours, torch)
    tables = "\n\n".join([sizes(ours[0]), speeds(ours, torch), verdicts, round_shares(options.covey)])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(markdown(tables, ours, options))
    print(f"\n{tables}\n")
    print(f"written to {options.output}", file=sys.stderr)
    sys.exit(0 if all_hold else 1)


if __name__ == "__main__":
    main()
