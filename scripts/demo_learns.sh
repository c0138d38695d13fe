#!/usr/bin/env bash
# Runs a short demo in a temporary folder. Fails if the held-out loss does not fall by 1 nat, or if the two peers have
# different weights after any round.
#
#     scripts/demo_learns.sh [STEPS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

steps=${1:-20}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo run --quiet --release -- demo --steps "$steps" --output "$folder"

for peer in 1 2; do
    if [[ ! -s $folder/peer-$peer/metrics.jsonl ]]; then
        echo "error: peer $peer of the demo wrote no metrics.jsonl" >&2
        exit 1
    fi
    # One line per round: number, and digest of the weights after the round.
    sed -nE 's/.*"kind":"round".*"round":([0-9]+).*"weights":"([0-9a-f]{64})".*/\1 \2/p' \
        "$folder/peer-$peer/metrics.jsonl" > "$folder/digests-$peer"
done
if [[ ! -s $folder/digests-1 ]] || ! cmp --quiet "$folder/digests-1" "$folder/digests-2"; then
    echo 'error: the two peers of the demo have different weights' >&2
    exit 1
fi
echo "both peers have the same weights after each of $(wc -l < "$folder/digests-1") rounds" >&2

# Compares the first and the last held-out loss. A model that learns nothing does not fall by 1 nat.
awk '
    /"kind": *"eval"/ && match($0, /"loss": *[0-9.eE+-]+/) {
        loss = substr($0, RSTART, RLENGTH)
        sub(/.*: */, "", loss)
        if (++lines == 1) first = loss + 0
        last = loss + 0
    }
    END {
        if (lines < 2) { print "error: fewer than two held-out losses in metrics.jsonl"; exit 1 }
        printf "held-out loss: %.4f at the start, %.4f at the end\n", first, last
        if (!(last < first - 1)) { print "error: the held-out loss of the demo did not fall"; exit 1 }
    }
' "$folder/peer-1/metrics.jsonl" >&2
