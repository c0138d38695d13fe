#!/usr/bin/env bash
# Runs a short demo in a folder that vanishes and holds it to a falling held-out loss: demo_learns.sh [STEPS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

steps=${1:-20}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo run --quiet --release -- demo --steps "$steps" --output "$folder"

metrics=$(find "$folder" -name metrics.jsonl | head -n 1)
if [[ -z $metrics ]]; then
    echo "error: the demo left no metrics.jsonl in its output folder" >&2
    exit 1
fi

# First and last held-out loss, and whether it fell by a nat at least: one that learns nothing stays where it was.
awk '
    /"kind": *"eval"/ && match($0, /"loss": *[0-9.eE+-]+/) {
        loss = substr($0, RSTART, RLENGTH)
        sub(/.*: */, "", loss)
        if (++lines == 1) first = loss + 0
        last = loss + 0
    }
    END {
        if (lines < 2) { print "error: fewer than two held-out losses in metrics.jsonl"; exit 1 }
        printf "held-out loss %.4f at first, %.4f at last\n", first, last
        if (!(last < first - 1)) { print "error: the held-out loss of the demo did not fall"; exit 1 }
    }
' "$metrics" >&2
