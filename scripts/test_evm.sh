#!/usr/bin/env bash
# Runs the tests that need an Ethereum-compatible node, with anvil from npm.
#
#     scripts/test_evm.sh [--run]
#
# `--run` also runs peers and a validator with the ledger in a contract; this needs python3.
# Starts anvil on a free port, runs `tests` below, and stops it. Needs npm; installs 52 MB into .venv-evm if missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Commands, run in the root of the repository. Each test reads
#   COVEY_TEST_EVM        URL of the node
#   COVEY_TEST_EVM_KEYS   secret keys of ten funded accounts, separated by commas
tests=(
    'cargo test --release --package covey-comms --features evm --test ledger -- --ignored --nocapture --test-threads=1 evm::'
)

# Seconds.
start_timeout=30

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

# Port 0: anvil takes a free port and logs it. The wrapper that npm installs would survive `kill`, so the binary is
# started directly.
start() {
    local binary
    binary=$(find .venv-evm/node_modules -path '*anvil*' -name anvil -type f -perm -u+x -size +1M | head -n 1)
    [[ -n $binary ]] || fail 'anvil is missing; remove .venv-evm and try again'
    "$binary" --port 0 --host 127.0.0.1 --accounts 10 > "$folder/log" 2>&1 &
    node=$!
    local deadline=$((SECONDS + start_timeout))
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
