#!/usr/bin/env bash
# Installs an Ethereum-compatible node and a Solidity compiler from npm into .venv-evm (52 MB).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=('@foundry-rs/anvil@1.7.1' 'solc@0.8.37')
environment=.venv-evm

fail() { echo "error: $1" >&2; exit 1; }

command -v npm > /dev/null || fail 'npm is missing; install Node.js and try again'
if [[ $(cat "$environment/installed" 2> /dev/null) != "${packages[*]}" ]]; then
    npm install --prefix "$environment" --no-audit --no-fund --silent "${packages[@]}" \
        || fail 'cannot install the packages'
    echo "${packages[*]}" > "$environment/installed"
fi
