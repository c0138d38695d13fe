#!/usr/bin/env bash
# Compiles the ledger's contract and holds the committed ABI and bytecode to it; with --write, writes them.
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
        echo "error: comms/contracts/$file is not what CoveyLedger.sol compiles to" >&2
        echo "hint: scripts/check_contract.sh --write" >&2
        exit 1
    fi
done
echo 'ABI and bytecode are those of the source'
