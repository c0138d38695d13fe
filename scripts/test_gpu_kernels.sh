#!/usr/bin/env bash
# Runs the tests of the GPU kernels with wgpu, on a GPU or with Mesa's Vulkan driver for CPUs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A driver is listed by a file in one of these folders.
drivers() {
    local folder
    for folder in "${XDG_DATA_HOME:-$HOME/.local/share}" /etc /usr/local/share /usr/share; do
        find -L "$folder/vulkan/icd.d" -name '*.json' 2> /dev/null || true
    done
}

if [[ -z ${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-} && -z $(drivers) ]]; then
    echo 'error: there is no Vulkan driver' >&2
    echo 'hint: install one for CPUs; on Debian and Ubuntu: `apt-get install mesa-vulkan-drivers`' >&2
    exit 1
fi
exec cargo test --release --workspace --features wgpu --test cube "$@"
