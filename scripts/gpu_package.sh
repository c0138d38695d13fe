#!/usr/bin/env bash
# Packs `gpu_check.py` with its files for a machine without internet: target/gpu-check.tar.gz, at most 60 MiB.
#
# Builds with the feature `cuda`, or with `cuda-offline` after cuda_build_offline.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

feature=cuda
for stub in "${XDG_DATA_HOME:-$HOME/.local/share}"/tracel/*/lib/libllvmstub.a; do
    [[ -e $stub ]] && feature=cuda-offline
done
folder=target/gpu-check
limit=$((60 * 1024 * 1024))

# Merging identical functions and constants and packing relocations makes the file a fifth smaller. The program does not
# compare their addresses.
link=()
for flag in --icf=all --ignore-data-address-equality -O2 -z,pack-relative-relocs; do
    link+=(-C "link-arg=-Wl,$flag")
done
cargo rustc --release -p covey --features "$feature" --example gpu_check -- "${link[@]}"
rm -rf "$folder"
mkdir -p "$folder"
strip -o "$folder/gpu_check" target/release/examples/gpu_check
cp -r model/tests/data "$folder/data"
cp scripts/gpu_check.py scripts/gpu_check_torch.py "$folder/"
tar -C target -czf target/gpu-check.tar.gz gpu-check

size=$(du --bytes --summarize "$folder" | cut -f1)
echo "$folder: $size bytes, packed $(stat -c %s target/gpu-check.tar.gz); on the other machine: tar xzf gpu-check.tar.gz && python3 gpu-check/gpu_check.py" >&2
if ((size > limit)); then
    echo "error: $folder is larger than $limit bytes" >&2
    exit 1
fi
