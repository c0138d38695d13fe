#!/usr/bin/env bash
# Runs the tests of GPU kernels through wgpu, on a graphics card or on Mesa's Vulkan driver that computes on the CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A driver says where it is by a file in one of these places.
drivers() {
    local folder
    for folder in "${XDG_DATA_HOME:-$HOME/.local/share}" /etc /usr/local/share /usr/share; do
        find -L "$folder/vulkan/icd.d" -name '*.json' 2> /dev/null || true
    done
}

if [[ -z ${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-} && -z $(drivers) ]]; then
    echo 'error: there is no Vulkan driver' >&2
    echo 'hint: Debian and Ubuntu: `apt-get install mesa-vulkan-drivers`; it computes on the CPU and needs no GPU' >&2
    exit 1
fi
exec cargo test --release --workspace --features wgpu --test cube "$@"
