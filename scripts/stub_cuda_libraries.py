#!/usr/bin/env python3
"""Writes stubs of the CUDA libraries that PyTorch's Linux wheel links, to import it without them.

The default wheel of torch links about 14 CUDA libraries; with them, it is a download of 2.8 GB. On the CPU, none of them
is called, so a library of the same name with the same symbols is enough. For checks only.

Usage: stub_cuda_libraries.py SITE_PACKAGES/torch/lib       (needs gcc and readelf)
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

CUDA_LIBRARY = re.compile(r"NEEDED.*\[(lib(?:cu|nv|nccl)[^\]]*)\]")
UNDEFINED = re.compile(r" (?:FUNC|NOTYPE|OBJECT)\s+\w+\s+\w+\s+UND ([^\s@]+)(?:@+(\S+))?(?:\s|$)")
CUDA_SYMBOL = re.compile(r"(?:cu|nccl|nvrtc|nvJit|__cuda|_cu|nvshmem)")
# Libraries without symbol versions: their symbols can be recognized by name only.
UNVERSIONED = {
    "libcufile": "cuFile",
    "libcusparseLt": "cusparseLt",
    "libnccl": "nccl",
    "libnvshmem_host": "nvshmem",
}


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


def missing_libraries(objects):
    """The CUDA libraries that the wheel links but does not contain, sorted."""
    own = {path.name for path in objects}
    named = {name for path in objects for name in CUDA_LIBRARY.findall(readelf("-d", path))}
    return sorted(named - own)


def undefined_symbols(objects):
    """The undefined CUDA symbols, each with its version or an empty text."""
    found = {pair for path in objects for pair in UNDEFINED.findall(readelf("--dyn-syms", path))}
    return {(symbol, version) for symbol, version in found if CUDA_SYMBOL.match(symbol)}


def symbols_of(library, undefined, libraries):
    """The symbols that `library` must define: those with its name as version, and those with its prefix."""
    mine = {symbol for symbol, version in undefined if version == library}
    prefix = UNVERSIONED.get(library.split(".")[0])
    if prefix:
        mine |= {symbol for symbol, version in undefined if symbol.startswith(prefix) and version not in libraries}
    return sorted(mine)


def version_of(library, symbols, undefined):
    """The symbol version of the stub, if any."""
    versions = {version for symbol, version in undefined if symbol in symbols and version}
    if library in versions:
        return library
    return min(versions, default=None)


def write_stub(folder, library, symbols, version):
    """Compiles the stub. Each function returns 100, the CUDA error `no device`."""
    source = "".join(f"long {symbol}(void) {{ return 100; }}\n" for symbol in symbols) or "int stub;\n"
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch, "stub.c")
        code.write_text(source)
        command = ["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{library}"]
        if version:
            script = Path(scratch, "version")
            script.write_text(f"{version} {{ global: *; }};\n")
            command.append(f"-Wl,--version-script={script}")
        subprocess.run([*command, "-o", folder / library, code], check=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    objects = sorted(folder.glob("*.so*"))
    libraries = missing_libraries(objects)
    undefined = undefined_symbols(objects)
    for library in libraries:
        symbols = symbols_of(library, undefined, libraries)
        write_stub(folder, library, symbols, version_of(library, symbols, undefined))
    print(f"wrote {len(libraries)} stub libraries to {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
