#!/usr/bin/env bash
# Holds the crates to their layers, read off `cargo tree`:
#   - model, data, optim and comms never depend on one another;
#   - data and comms, and optim without default features, build without Burn.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

broken=0

# Names of everything that crate $1 is built from, itself left out; further arguments go to `cargo tree`.
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
    # Its own line, so that a failing `cargo tree` stops the script.
    found=$(dependencies "$crate" "$@")
    found=$(grep -E "$pattern" <<< "$found" | paste -s -d ' ' || true)
    if [[ -n $found ]]; then
        echo "error: $crate must not depend on $found: $reason" >&2
        broken=1
    fi
}

for crate in covey-model covey-data covey-optim covey-comms; do
    refuse "$crate" '^covey(-|$)' 'the four libraries never name each other'
done
refuse covey-data '^burn(-|$)' 'data builds without Burn'
refuse covey-comms '^burn(-|$)' 'comms builds without Burn'
refuse covey-optim '^burn(-|$)' 'optim builds without Burn when its default features are off' --no-default-features

exit "$broken"
