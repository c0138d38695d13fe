#!/usr/bin/env python3
"""Runs 4 honest peers, 2 attackers and a validator as processes for 15 rounds of the preset `tiny`.

The honest peers first train without the attackers, for comparison. Writes docs/results/adversaries-real.md.
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
    parser.add_argument("--kinds", nargs="+", default=["flip", "noise"], help="attacks: flip, noise, foreign, idle")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 1])
    parser.add_argument("--covey", type=Path, default=ROOT / "target/release/covey")
    parser.add_argument("--adversary", type=Path, default=ROOT / "target/release/examples/adversary")
    parser.add_argument("--data", type=Path, help="prepared folder [default: the demo's text]")
    parser.add_argument("--cache", type=Path, default=ROOT / "target/adversaries-real")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    return parser.parse_args()


def write_key(path, number):
    """Writes a fixed key: the IDs of peers determine the data of each peer, so runs stay comparable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"covey-key-1 {f'{number:02x}' * 32}\n")
    path.chmod(0o600)


def play(options, data, seed, kinds):
    """Completes one run, unless it is cached; returns its folder."""
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
        every = ROUNDS * INNER_STEPS if number == 1 else "none"
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
    """Returns one table row per peer, and the share of the scores by peer."""
    state = json.loads((folder / "status.json").read_text())
    labels = [(f"peer-{number}", "honest") for number in range(1, HONEST + 1)]
    labels += [(f"adversary-{number}", kind) for number, kind in enumerate(kinds, HONEST + 1)]
    records = state["standings"]
    total = sum(record["score"] for record in records.values()) or 1.0
    table, shares = [], {}
    for label, kind in labels:
        peer = peer_id(options, folder, label)
        played = [entry for entry in state["rounds"] if entry["round"] > 0]
        entered = [entry["round"] for entry in played if peer in entry["included"]]
        reasons = [entry["excluded"][peer] for entry in played if peer in entry["excluded"]]
        counts = ", ".join(f"{reason} {reasons.count(reason)}" for reason in sorted(set(reasons))) or "-"
        record = records[peer]
        shares[label] = record["score"] / total
        bma, mu, sigma = record["bma"], record["rating"]["mu"], record["rating"]["sigma"]
        table.append(f"| {label} | {kind} | {len(entered)} | {entered[-1] if entered else '-'} | {counts} | "
                     f"{bma:+.3f} | {mu:.2f} ± {sigma:.2f} | {shares[label]:.1%} |")
    return table, shares


def main():
    options = arguments()
    data = options.data or demo_data(options.covey)
    losses, tables, lowest_honest, highest_attacker = [], [], 1.0, 0.0
    for seed in options.seeds:
        clean = play(options, data, seed, [])
        attacked = play(options, data, seed, options.kinds)
        losses.append((final_loss(clean), final_loss(attacked)))
        table, shares = rows(options, attacked, options.kinds)
        tables += [row.replace("|", f"| {seed} |", 1) for row in table]
        lowest_honest = min([lowest_honest] + [share for label, share in shares.items() if label.startswith("peer")])
        of_attackers = [share for label, share in shares.items() if label.startswith("adversary")]
        highest_attacker = max([highest_attacker] + of_attackers)
    harm = sum(attacked / clean - 1 for clean, attacked in losses) / len(losses)
    compared = "\n".join(f"| {seed} | {clean:.4f} | {attacked:.4f} | {attacked / clean - 1:+.2%} |"
                         for seed, (clean, attacked) in zip(options.seeds, losses))
    text = f"""# Attacks in a run of processes

The preset `tiny` on the demo's text. {HONEST} honest peers, {len(options.kinds)} attackers ({', '.join(options.kinds)}) and \
one validator are separate processes. The run has {ROUNDS} rounds of {INNER_STEPS} steps and the default constants of the Gauntlet.

| seed | final held-out loss without attackers | with attackers | change |
|---:|---:|---:|---:|
{compared}
| mean | | | {harm:+.2%} (limit: +1 %) |

With six slots instead of four, the honest peers train on other windows. Losses therefore differ slightly even if no delta
of an attacker is ever included.

The highest share of all scores of an attacker is {highest_attacker:.1%}; the lowest share of an honest peer is {lowest_honest:.1%}.

| seed | peer | behaviour | rounds included | last of them | excluded as | own windows (BMA) | rating | share of scores |
|---:|---|---|---:|---:|---|---:|---:|---:|
""" + "\n".join(tables) + "\n\n" + footer("just adversaries-real") + "\n"
    (options.output / "adversaries-real.md").write_text(text)
    print(text)
    return 0 if harm <= 0.01 and highest_attacker < lowest_honest else 1


if __name__ == "__main__":
    sys.exit(main())
