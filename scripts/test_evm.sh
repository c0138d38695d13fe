#!/usr/bin/env bash
# Runs the tests that need an Ethereum-compatible node against anvil, from npm.
#
#     scripts/test_evm.sh [--run]
#
# `--run` plays a whole run with its ledger in a contract as well; it needs python3.
# Starts anvil on a free port, runs `tests` below, ends it. Needs npm; installs 52 MB into .venv-evm when that is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What is run, from the repository's root. Each test finds
#   COVEY_TEST_EVM        the node's address
#   COVEY_TEST_EVM_KEYS   secret keys of ten accounts with money, between commas
tests=(
    'cargo test --release --package covey-comms --features evm --test ledger -- --ignored --nocapture --test-threads=1 evm::'
)

patience=30

fail() { echo "error: $1" >&2; exit 1; }

folder=$(mktemp -d)
node=
stop() {
    if [[ -n $node ]]; then
        kill "$node" 2> /dev/null || true
        wait "$node" 2> /dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Anvil asks the system for a free port and says which it got; the wrapper that npm installs would outlive a signal.
start() {
    local binary
    binary=$(find .venv-evm/node_modules -path '*anvil*' -name anvil -type f -perm -u+x -size +1M | head -n 1)
    [[ -n $binary ]] || fail 'anvil is not there; remove .venv-evm and try again'
    "$binary" --port 0 --host 127.0.0.1 --accounts 10 > "$folder/log" 2>&1 &
    node=$!
    local deadline=$((SECONDS + patience))
    until grep -q 'Listening on' "$folder/log"; do
        if ! kill -0 "$node" 2> /dev/null || ((SECONDS >= deadline)); then
            tail -n 20 "$folder/log" >&2
            fail 'anvil did not start; the end of its log is above'
        fi
        sleep 0.1
    done
}

scripts/install_evm.sh
start
COVEY_TEST_EVM=http://$(sed -n 's/^Listening on //p' "$folder/log")
COVEY_TEST_EVM_KEYS=$(sed -n 's/^([0-9]*) \(0x[0-9a-f]\{64\}\)$/\1/p' "$folder/log" | paste -s -d ,)
export COVEY_TEST_EVM COVEY_TEST_EVM_KEYS
COVEY_TEST_EVM_ACCOUNT=$(sed -n 's/^(0) \(0x[0-9a-fA-F]\{40\}\).*/\1/p' "$folder/log" | head -n 1)
export COVEY_TEST_EVM_ACCOUNT
for test in "${tests[@]}"; do
    bash -c "$test"
done
if [[ ${1:-} == --run ]]; then
    scripts/evm_run.sh
fi
echo 'anvil: passed'
