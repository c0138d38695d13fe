#!/usr/bin/env bash
# Compiles the ledger's contract and compares the result with the committed ABI and bytecode; `--write` replaces them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install_evm.sh
if [[ ${1:-} == --write ]]; then
    node scripts/compile_contract.cjs .venv-evm/node_modules comms/contracts
    exit
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
node scripts/compile_contract.cjs .venv-evm/node_modules "$folder"
for file in CoveyLedger.abi.json CoveyLedger.bin; do
    if ! cmp -s "$folder/$file" "comms/contracts/$file"; then
        echo "error: comms/contracts/$file differs from the compiled CoveyLedger.sol" >&2
        echo "hint: run \`scripts/check_contract.sh --write\`" >&2
        exit 1
    fi
done
echo 'ABI and bytecode match the source'
