#!/usr/bin/env bash
# Trains the preset `tiny` for 2,000 steps. Fails if the memory grows by more than 2 % after step 200.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo build --quiet --release
target/release/covey demo --alone --steps 1 --output "$folder/demo" > "$folder/demo.txt"
target/release/covey train --preset tiny --data "$folder/demo/data" --steps 2000 --output "$folder/run" \
    --set train.eval_every=100 --set checkpoint.every=100

awk '
    /"kind":"step"/ && match($0, /"step":[0-9]+/) {
        step = substr($0, RSTART + 7, RLENGTH - 7)
        if (match($0, /"memory":[0-9]+/)) memory[step] = substr($0, RSTART + 9, RLENGTH - 9)
    }
    END {
        if (!(200 in memory) || !(2000 in memory)) { print "error: metrics.jsonl has no memory for steps 200 and 2,000"; exit 1 }
        growth = memory[2000] / memory[200] - 1
        printf "memory: %.1f MB after 200 steps, %.1f MB after 2,000: %+.2f %%\n", memory[200] / 1e6, memory[2000] / 1e6, growth * 100
        if (growth > 0.02) { print "error: the memory grows by more than 2 %"; exit 1 }
    }
' "$folder/run/metrics.jsonl"
