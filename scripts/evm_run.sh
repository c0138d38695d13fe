#!/usr/bin/env bash
# Runs two registered peers, an unregistered peer and a validator as processes, with the ledger in a contract.
#
# `test_evm.sh --run` calls it with the URL of a node in COVEY_TEST_EVM and secret keys of funded accounts in
# COVEY_TEST_EVM_KEYS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=4
cargo build --release --workspace --features covey/evm
covey=$PWD/target/release/covey

folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

fail() { echo "error: $1" >&2; tail -n 5 ./*.log >&2; exit 1; }

# One account for each process that writes to the ledger.
index=0
for name in validator peer-1 peer-2; do
    index=$((index + 1))
    cut -d, -f"$index" <<< "$COVEY_TEST_EVM_KEYS" > "$name.wallet"
done

seq 1 4000 | awk '{ print $1, "peers of one run meet in round", $1 % 7 }' > text.txt
"$covey" tokenizer train text.txt --vocab-size 300
"$covey" prepare text.txt --tokenizer tokenizer.json --output data --held-out 0.1
id=$("$covey" id validator.key)
"$covey" init bucket --data data --key validator.key --threads 1 --set model.hidden_size=32 \
    --set model.intermediate_size=48 --set model.num_hidden_layers=1 --set model.num_attention_heads=2 \
    --set model.num_key_value_heads=1 --set data.sequence_length=16 --set train.batch_size=4 \
    --set train.steps=$((2 * rounds)) --set train.eval_every=none --set rounds.inner_steps=2 --set rounds.min_peers=2 \
    --set rounds.max_included=4 --set rounds.commit_deadline=600 --set rounds.checkpoint_every=2 --set gauntlet.eval_windows=2 \
    --set gauntlet.min_gain_ratio=0 --set gauntlet.norm_ratio=1000

ledger=$("$covey" ledger deploy bucket --node "$COVEY_TEST_EVM" --wallet validator.wallet \
    --validator "$id=$COVEY_TEST_EVM_ACCOUNT" --stake 1000000000)
for number in 1 2; do
    "$covey" peer register bucket --key "peer-$number/peer.key" --ledger "$ledger" --wallet "peer-$number.wallet"
done

own=(--threads 1 --set comms.poll_interval=0.05 --set train.eval_every=none)
"$covey" join bucket --output peer-3 "${own[@]}" > unregistered.log 2>&1 &
"$covey" validate bucket --key validator.key --output validator --ledger "$ledger" --wallet validator.wallet \
    "${own[@]}" > validator.log 2>&1 &
validator=$!
for number in 1 2; do
    "$covey" join bucket --output "peer-$number" --ledger "$ledger" --wallet "peer-$number.wallet" "${own[@]}" \
        > "peer-$number.log" 2>&1 &
    peers[number]=$!
done
for process in "$validator" "${peers[@]}"; do
    wait "$process" || fail 'a process of the run failed'
done

"$covey" ledger verify bucket --ledger "$ledger"
"$covey" verify bucket --threads 1
"$covey" peer scores bucket --ledger "$ledger" | tee scores.txt
"$covey" peer scores bucket --ledger "$ledger" --json > scores.json
"$covey" status bucket --json > status.json
python3 - "$rounds" <<'PYTHON'
import json, sys
rounds, scores, status = int(sys.argv[1]), json.load(open("scores.json")), json.load(open("status.json"))
recorded = [entry["round"] for entry in scores["scores"] if entry["agreed"]]
assert recorded == list(range(rounds + 1)), f"the contract has the verdicts of rounds {recorded}"
assert scores["checkpoints"], "the contract has no checkpoint"
members = {peer for peer, record in scores["peers"].items() if record["member"]}
included = set().union(*(set(entry["included"]) for entry in status["rounds"]))
assert len(members) == 2 and included == members, f"registered {members}, included {included}"
PYTHON
echo 'a run with its ledger in a contract: passed'
