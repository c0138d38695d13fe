#!/usr/bin/env python3
"""Checks Covey on an NVIDIA GPU and prints one table.

The parts are parity with reference numbers, equal bytes of compressed deltas, training speed compared with PyTorch, and
training with two shards on one GPU. No internet is needed. Required are the program in the same folder (`just gpu-package`
packs both), the driver, NVRTC and the headers of CUDA (those of PyTorch are enough) and, for the comparison, PyTorch. Runs
of the two sides alternate, so other load of the machine affects both. A part that fails becomes a row of the table.
"""

import argparse
import glob
import json
import os
import shlex
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ["parity", "compression", "150m", "1b", "sharded"]
# Specified peak of dense bf16 with fp32 sums. The first name that the name of the GPU contains applies.
PEAK_TFLOPS = {
    "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "H200": 989, "GH200": 989, "B200": 2250, "A100": 312, "L40S": 362,
    "L4": 121, "A10": 125, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip


def arguments():
    packed, built = HERE / "gpu_check", HERE.parent / "target/release/examples/gpu_check"
    data = HERE / "data" if packed.exists() else HERE.parent / "model/tests/data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=packed if packed.exists() else built)
    parser.add_argument("--data", type=Path, default=data, help="folders of reference numbers")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a run")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the timed ones: kernels are selected there")
    parser.add_argument("--sequences", type=int, default=8, help="sequences of 2048 tokens per step")
    parser.add_argument("--peak-tflops", type=float, help="bf16 peak of this GPU [default: by name]")
    parser.add_argument("--timeout", type=float, default=540, help="maximum time of one run, in seconds")
    return parser.parse_args()


def first_with(patterns, marker):
    """The first matching folder that contains a file with this name."""
    folders = (folder for pattern in patterns for folder in sorted(glob.glob(pattern), reverse=True))
    return next((folder for folder in folders if glob.glob(f"{folder}/{marker}")), None)


def environment():
    """The environment of the programs, with the paths of NVRTC and CUDA headers: of the system, otherwise of PyTorch."""
    site = sysconfig.get_paths()["purelib"]
    libraries = first_with(["/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", f"{site}/nvidia/cu*/lib",
                            f"{site}/nvidia/cuda_nvrtc/lib"], "libnvrtc.so*")  # fmt: skip
    toolkits = ["/usr/local/cuda*", "/opt/cuda*", f"{site}/nvidia/cu*", f"{site}/nvidia/cuda_runtime"]
    toolkit = os.environ.get("CUDA_PATH") or first_with(toolkits, "include/cuda_bf16.h")
    changed = dict(os.environ)
    if libraries:
        changed["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    if toolkit:
        changed["CUDA_PATH"] = toolkit
    print(f"NVRTC in {libraries}, CUDA's headers in {toolkit}", file=sys.stderr)
    return changed


def measure(command, options):
    """The report of one side, from its last line; a text with the reason if there is none."""
    command = list(map(str, command))
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return f"longer than {options.timeout:.0f} s"
    except OSError as error:
        return str(error)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        print(done.stderr[-4000:], file=sys.stderr)
        problems = [line for line in done.stderr.splitlines() if line.strip()]
        return f"exit code {done.returncode}: {problems[-1][:120] if problems else 'no report'}"
    print(lines[-1], file=sys.stderr, flush=True)
    return json.loads(lines[-1])


def gpu_name():
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    except OSError:
        lines = []
    return lines[0] if lines else "unknown"


def row(what, result, bar="", holds=None):
    return [what, result, bar, "" if holds is None else ("yes" if holds else "**no**")]


def parity(options):
    rows = []
    for precision in ["fp32", "bf16"]:
        report = measure([options.program, "parity", options.device, precision, options.data], options)
        if isinstance(report, str):
            rows.append(row(f"parity, {precision}", report, "", False))
            continue
        for check in report["checks"]:
            what = f"parity, {precision}: {check['what']} of {check['folder']}"
            rows.append(row(what, f"{check['difference']:.1e}", f"<= {check['tolerance']:.0e}", check["holds"]))
    return rows


def compression(options):
    report = measure([options.program, "compression", options.device], options)
    if isinstance(report, str):
        return [row("compression", report, "", False)]
    equal = f"{report['bytes']} bytes on GPU and CPU" if report["equal"] else "GPU and CPU differ"
    gpu, cpu, threads = (report[key] for key in ["gpu_mb_per_second", "cpu_mb_per_second", "threads"])
    speed = f"{gpu:.0f} MB/s with the GPU, {cpu:.0f} MB/s on {threads} CPU threads"
    return [row("compression, delta", equal, "equal", report["equal"]), row("compression, speed", speed)]


def peak_of(name, options):
    known = (tflops for key, tflops in PEAK_TFLOPS.items() if key in name)
    return (options.peak_tflops or next(known, 0)) * 1e12


def covey_command(preset, devices, options):
    counts = [options.sequences, options.warmup, options.steps]
    return [options.program, "speed", devices, "bf16", preset, *counts]


def speed(preset, options, peak):
    torch = [sys.executable, HERE / "gpu_check_torch.py", "--preset", preset, "--sequences", options.sequences]
    torch += ["--warmup", options.warmup, "--steps", options.steps, "--device", options.device]
    sides = {"Covey": covey_command(preset, options.device, options), "PyTorch": torch}
    runs = {name: [] for name in sides}
    for _ in range(options.pairs):
        for name, command in sides.items():
            runs[name].append(measure(command, options))
    good = {name: [run for run in reports if not isinstance(run, str)] for name, reports in runs.items()}
    flops = next((run["flops_per_token"] for run in good["Covey"]), 0)
    rows, medians = [], {}
    for name, reports in good.items():
        what = f"{preset}, bf16, {options.sequences} x 2048 tokens, {name}"
        if not reports:
            rows.append(row(what, runs[name][-1], "", False if name == "Covey" else None))
            continue
        medians[name] = statistics.median(report["tokens_per_second"] for report in reports)
        utilisation = medians[name] * flops / peak if peak else 0
        text = f"{medians[name]:.0f} tokens/s" + (f", MFU {utilisation:.1%}" if utilisation else "")
        is_ours = name == "Covey" and utilisation
        rows.append(row(what, text, "MFU >= 45 %" if is_ours else "", utilisation >= 0.45 if is_ours else None))
    if len(medians) == 2:
        ratio = medians["Covey"] / medians["PyTorch"]
        rows.append(row(f"{preset}, Covey / PyTorch", f"{ratio:.2f}", ">= 1.00", ratio >= 1))
    return rows


def sharded(options):
    """Trains the same batch with one shard and with two shards on the GPU."""
    pair = f"{options.device},{options.device.split(':')[-1]}"
    one, two = (measure(covey_command("150m", devices, options), options) for devices in (options.device, pair))
    for report in (one, two):
        if isinstance(report, str):
            return [row("150m, two shards on one GPU", report, "", False)]
    difference = abs(two["loss_last"] / one["loss_last"] - 1)
    speed = two["tokens_per_second"]
    text = f"{speed:.0f} tokens/s, {speed / one['tokens_per_second']:.2f} of one shard"
    # The order of sums differs, and bf16 has 8 significant bits.
    loss = row("150m, two shards, last loss", f"differs by {difference:.1e}", "<= 1e-02", difference <= 1e-2)
    return [row(f"150m, two shards on one GPU ({pair})", text), loss]


def main():
    options = arguments()
    if not options.program.exists():
        sys.exit(f"error: `{options.program}` is missing; `just gpu-check` builds it")
    name = gpu_name()
    peak = peak_of(name, options)
    parts = {"parity": parity, "compression": compression, "sharded": sharded}
    rows = []
    for part in options.parts:
        rows += parts[part](options) if part in parts else speed(part, options, peak)
    print(f"GPU: {name}; {options.pairs} alternating runs of each side, {options.warmup} + {options.steps} steps each\n")
    print("| check | result | limit | holds |\n|---|---|---|---|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    sys.exit(any(cells[3] == "**no**" for cells in rows))


ENVIRONMENT = environment()

if __name__ == "__main__":
    main()
