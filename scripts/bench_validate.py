#!/usr/bin/env python3
"""What a validator spends on a delta, beside what a peer spends on a step. Writes docs/results/bench-validate.md."""

import argparse
import json
import subprocess
from pathlib import Path

from measuring import ROOT, demo_data, footer, run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 20])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey")
    parser.add_argument("--data", type=Path, help="prepared folder; the demo's text if left out")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    options = parser.parse_args()
    data = options.data or demo_data(options.covey)
    rows = []
    for peers in options.peers:
        command = [options.covey, "bench", "validate", "--data", data, "--peers", peers, "--threads", options.threads,
                   "--inner-steps", 3, "--batch-size", 8, "--sequence-length", 256, "--rounds", 10]
        figures = json.loads(run(command, stdout=subprocess.PIPE))
        rows.append("| {peers} | {step_seconds:.3f} | {reading_seconds:.3f} | {measuring_seconds:.2f} | "
                    "{steps_per_peer:.2f} |".format(**figures))
        windows = figures["windows"]
    text = f"""# What a validator spends on a delta

`just bench-validate`: the `tiny` preset (batches of 8 windows of 256 tokens), {windows} windows of each kind, \
{options.threads} thread(s).

A validator passes over {windows} windows (2 + 4 n) times for n peers: each peer's own windows and the random ones, before,
as typical, and with the peer's delta. How many are measured is `gauntlet.num_evaluated`, 20 unless the run says otherwise,
however many peers there are.

| deltas measured | inner step, s | reading all deltas, s | measuring them, s | inner steps that one delta costs |
|---:|---:|---:|---:|---:|
""" + "\n".join(rows) + "\n\n" + footer("just bench-validate") + "\n"
    (options.output / "bench-validate.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
