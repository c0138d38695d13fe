#!/usr/bin/env bash
# Installs a node of an Ethereum-compatible chain and a compiler of contracts into .venv-evm: 52 MB from npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=('@foundry-rs/anvil@1.7.1' 'solc@0.8.37')
environment=.venv-evm

fail() { echo "error: $1" >&2; exit 1; }

command -v npm > /dev/null || fail 'npm is missing; install Node.js and try again'
if [[ $(cat "$environment/installed" 2> /dev/null) != "${packages[*]}" ]]; then
    npm install --prefix "$environment" --no-audit --no-fund --silent "${packages[@]}" \
        || fail 'the packages could not be installed'
    echo "${packages[*]}" > "$environment/installed"
fi
