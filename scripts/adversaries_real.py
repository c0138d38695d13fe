#!/usr/bin/env python3
"""A real run with cheats in it: `tiny`, 4 honest peers, 2 adversaries and a validator as processes, 15 rounds.

The same honest peers train without them first. Writes docs/results/adversaries-real.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from measuring import ROOT, demo_data, footer, run

ROUNDS, INNER_STEPS, HONEST = 15, 15, 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["flip", "noise"], help="flip, noise, foreign, idle")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 1])
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey")
    parser.add_argument("--adversary", type=Path, default=ROOT / "target/release/examples/adversary")
    parser.add_argument("--data", type=Path, help="prepared folder; the demo's text if left out")
    parser.add_argument("--cache", type=Path, default=ROOT / "target/adversaries-real")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    return parser.parse_args()


def write_key(path, number):
    """Peers have the same names every time: who trains on what follows from them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"covey-key-1 {f'{number:02x}' * 32}\n")
    path.chmod(0o600)


def play(options, data, seed, kinds):
    """One run to its end: where it lies."""
    folder = options.cache / f"{seed}-{'-'.join(kinds) or 'clean'}"
    done = folder / "status.json"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    write_key(folder / "validator.key", 200)
    bucket = folder / "bucket"
    run([options.covey, "init", bucket, "--key", folder / "validator.key", "--preset", "tiny", "--data", data,
         "--seed", seed,
         "--set", f"train.steps={ROUNDS * INNER_STEPS}", "--set", f"rounds.inner_steps={INNER_STEPS}",
         "--set", f"rounds.min_peers={HONEST + len(kinds)}", "--set", "rounds.commit_deadline=3600",
         "--set", "rounds.reveal_deadline=600", "--set", "rounds.keep_checkpoints=100"])
    processes = []

    def start(label, command):
        with open(folder / f"{label}.log", "w") as log:
            processes.append((label, subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=ROOT)))

    poll = ["--set", "comms.poll_interval=0.05"]
    start("validator", [options.covey, "validate", bucket, "--key", folder / "validator.key", "--output",
                        folder / "validator", "--threads", 2, *poll])
    for number in range(1, HONEST + 1):
        own = folder / f"peer-{number}"
        write_key(own / "peer.key", number)
        every = ROUNDS * INNER_STEPS if number == 1 else "never"
        start(f"peer-{number}", [options.covey, "join", bucket, "--output", own, "--threads", 1, *poll,
                                 "--set", f"train.eval_every={every}"])
    for number, kind in enumerate(kinds, HONEST + 1):
        own = folder / f"adversary-{number}"
        write_key(own / "peer.key", number)
        start(f"adversary-{number}", [options.adversary, bucket, kind, own, number])
    failed = [label for label, process in processes if process.wait() != 0]
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed; see {folder}")
    done.write_text(run([options.covey, "status", bucket, "--json"], stdout=subprocess.PIPE))
    return folder


def final_loss(folder):
    lines = [json.loads(line) for line in (folder / "peer-1/metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "eval"][-1]


def peer_id(options, folder, label):
    return run([options.covey, "id", folder / label / "peer.key"], stdout=subprocess.PIPE).strip()


def rows(options, folder, kinds):
    """One row for each peer, and the score shares."""
    state = json.loads((folder / "status.json").read_text())
    labels = [(f"peer-{number}", "honest") for number in range(1, HONEST + 1)]
    labels += [(f"adversary-{number}", kind) for number, kind in enumerate(kinds, HONEST + 1)]
    total = sum(standing["score"] for standing in state["standings"].values()) or 1.0
    table, shares = [], {}
    for label, kind in labels:
        peer = peer_id(options, folder, label)
        played = [entry for entry in state["rounds"] if entry["round"] > 0]
        entered = [entry["round"] for entry in played if peer in entry["included"]]
        reasons = [entry["excluded"][peer] for entry in played if peer in entry["excluded"]]
        counts = ", ".join(f"{reason} {reasons.count(reason)}" for reason in sorted(set(reasons))) or "-"
        standing = state["standings"][peer]
        shares[label] = standing["score"] / total
        bma, mu, sigma = standing["bma"], standing["rating"]["mu"], standing["rating"]["sigma"]
        table.append(f"| {label} | {kind} | {len(entered)} | {entered[-1] if entered else '-'} | {counts} | "
                     f"{bma:+.3f} | {mu:.2f} ± {sigma:.2f} | {shares[label]:.1%} |")
    return table, shares


def main():
    options = arguments()
    data = options.data or demo_data(options.covey)
    losses, tables, honest, cheat = [], [], 1.0, 0.0
    for seed in options.seeds:
        clean = play(options, data, seed, [])
        attacked = play(options, data, seed, options.kinds)
        losses.append((final_loss(clean), final_loss(attacked)))
        table, shares = rows(options, attacked, options.kinds)
        tables += [row.replace("|", f"| {seed} |", 1) for row in table]
        honest = min([honest] + [share for label, share in shares.items() if label.startswith("peer")])
        cheat = max([cheat] + [share for label, share in shares.items() if label.startswith("adversary")])
    harm = sum(beside / without - 1 for without, beside in losses) / len(losses)
    compared = "\n".join(f"| {seed} | {without:.4f} | {beside:.4f} | {beside / without - 1:+.2%} |"
                         for seed, (without, beside) in zip(options.seeds, losses))
    text = f"""# Cheats in a real run

`just adversaries-real`: the `tiny` preset on the demo's text, {HONEST} honest peers, {len(options.kinds)} adversaries \
({', '.join(options.kinds)}) and one validator, each a process; {ROUNDS} rounds of {INNER_STEPS} steps, the Gauntlet's \
default constants.

| seed | held-out loss at the end, honest peers alone | with adversaries | |
|---:|---:|---:|---:|
{compared}
| mean | | | {harm:+.2%} (bar: within 1 %) |

With six seats instead of four the honest peers train on other windows, so that losses differ a little even where no delta
of an adversary ever enters the model.

The adversaries' largest share of all scores is {cheat:.1%}; the weakest honest peer has {honest:.1%}.

| seed | peer | what it does | rounds in the model | last of them | left out | own windows (BMA) | skill | share of scores |
|---:|---|---|---:|---:|---|---:|---:|---:|
""" + "\n".join(tables) + "\n\n" + footer("just adversaries-real") + "\n"
    (options.output / "adversaries-real.md").write_text(text)
    print(text)
    return 0 if harm <= 0.01 and cheat < honest else 1


if __name__ == "__main__":
    sys.exit(main())
