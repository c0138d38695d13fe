#!/usr/bin/env bash
# Creates `.venv-python` with torch (for CPUs only) and transformers, for `just check-export` and `just bench-train`.
#
# Installs torch without its CUDA libraries (539 MB instead of 2.8 GB) and puts stubs in their place.
# Needs python3 with venv, gcc and readelf. Has no effect if the environment already works.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment=.venv-python
torch=2.15.0
transformers=5.23.0

works() {
    CUDA_VISIBLE_DEVICES='' "$environment/bin/python" -c \
        "import torch, transformers; assert transformers.__version__ == '$transformers' and torch.__version__.startswith('$torch')" \
        2> /dev/null
}

for tool in python3 gcc readelf; do
    command -v "$tool" > /dev/null || { echo "error: $tool is missing; install it and try again" >&2; exit 1; }
done
if works; then
    exit 0
fi

python3 -m venv "$environment"
pip() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip --no-deps "torch==$torch"
echo 'ignore the warnings of pip about missing CUDA packages of torch' >&2
pip filelock 'typing-extensions>=4.13' sympy networkx jinja2 fsspec numpy 'setuptools>=77.0.3' safetensors "transformers==$transformers"
"$environment/bin/python" scripts/stub_cuda_libraries.py "$("$environment/bin/python" -c \
    'import sysconfig; print(sysconfig.get_path("purelib"))')/torch/lib"

if ! works; then
    echo "error: cannot import torch and transformers from $environment; remove it and try again" >&2
    exit 1
fi
