#!/usr/bin/env python3
"""Compares the time of an evaluation with the time of an inner step. Writes docs/results/bench-validate.md."""

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
    parser.add_argument("--data", type=Path, help="prepared folder [default: the demo's text]")
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
    text = f"""# Cost of a delta for a validator

The preset `tiny`, batches of 8 windows of 256 tokens, {windows} own and {windows} random windows per evaluation, \
{options.threads} thread(s).

To evaluate n deltas, a validator runs the network on {windows} windows 2 + 4 n times: on the random windows once before and
once with the typical delta; on the own windows of each peer likewise; and on both with the delta of the peer.
`gauntlet.num_evaluated` limits n, 20 by default, for any number of peers.

| deltas evaluated | inner step, s | decoding all deltas, s | evaluating them, s | inner steps per delta |
|---:|---:|---:|---:|---:|
""" + "\n".join(rows) + "\n\n" + footer("just bench-validate") + "\n"
    (options.output / "bench-validate.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
