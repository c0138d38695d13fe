#!/usr/bin/env bash
# Checks the dependencies of the crates with `cargo tree`:
#   - model, data, optim and comms do not depend on each other;
#   - data and comms, and optim without default features, build without Burn;
#   - the program is built without feature `testing` of comms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

broken=0

# Prints the names of all dependencies of crate $1. Further arguments are passed to `cargo tree`.
dependencies() {
    local crate=$1
    shift
    cargo tree --quiet --package "$crate" --edges normal,build --prefix none --format '{p}' "$@" \
        | awk -v own="$crate" '$1 != own { print $1 }' | sort -u
}

# refuse CRATE PATTERN REASON [OPTION...]
refuse() {
    local crate=$1 pattern=$2 reason=$3 found
    shift 3
    # In a separate assignment: within the pipe, a failure of `cargo tree` would be ignored.
    found=$(dependencies "$crate" "$@")
    found=$(grep -E "$pattern" <<< "$found" | paste -s -d ' ' || true)
    if [[ -n $found ]]; then
        echo "error: $crate must not depend on $found: $reason" >&2
        broken=1
    fi
}

for crate in covey-model covey-data covey-optim covey-comms; do
    refuse "$crate" '^covey(-|$)' 'the four libraries do not depend on each other'
done
refuse covey-data '^burn(-|$)' 'data must build without Burn'
refuse covey-comms '^burn(-|$)' 'comms must build without Burn'
refuse covey-optim '^burn(-|$)' 'optim must build without Burn if its default features are off' --no-default-features

# The simulation and the injected faults stay out of the shipped program.
if cargo tree --quiet --package covey --edges normal,features | grep -q 'covey-comms feature "testing"'; then
    echo 'error: the program `covey` must not be built with feature `testing` of covey-comms' >&2
    broken=1
fi

exit "$broken"
