//! Several devices, simulated by shards on one CPU: the same run on any number of them.

use insta::assert_snapshot;

use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded, training};
use crate::support::trained::metrics;

const RUN: &[&str] = &["--output=run", "--set=train.micro_batch_size=2"];

/// Losses by step.
fn losses(sandbox: &Sandbox) -> Vec<f64> {
    let lines = metrics(&sandbox.path("run")).into_iter().filter(|line| line["kind"] == "step");
    lines.map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// Trains on `device` up to step `steps`; later calls resume the run.
fn train(sandbox: &Sandbox, device: &str, steps: u64) {
    let device = format!("--device={device}");
    if sandbox.has("run/checkpoints") {
        let steps = format!("--set=train.steps={steps}");
        sandbox.succeed(&["train", "--resume", "--output=run", &device, &steps]);
    } else {
        let steps = format!("--steps={steps}");
        sandbox.succeed(
            &[training(RUN), vec![&device, &steps, "--set=schedule.kind=constant"]].concat(),
        );
    }
}

#[test]
fn a_run_resumes_on_any_number_of_devices() {
    let alone = Sandbox::with(&["data"]);
    train(&alone, "cpu", 12);
    let shared = Sandbox::with(&["data"]);
    for (device, steps) in [("cpu:4", 4), ("cpu:2", 8), ("cpu:8", 12)] {
        train(&shared, device, steps);
    }
    let (alone, shared) = (losses(&alone), losses(&shared));
    assert_eq!((alone.len(), shared.len()), (12, 12));
    for (step, (alone, shared)) in alone.iter().zip(&shared).enumerate() {
        assert!((alone / shared - 1.0).abs() <= 1e-5, "step {step}: {alone} and {shared}");
    }
}

#[test]
fn a_damaged_part_of_a_checkpoint_is_named() {
    let sandbox = Sandbox::with(&["data"]);
    train(&sandbox, "cpu:4", 4);
    sandbox.flip("run/checkpoints/step-00000004/optimizer.safetensors", 4000);
    let resume = ["train", "--resume", "--output=run", "--device=cpu:2"];
    let shown = sandbox.covey(&resume).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: none of the 1 checkpoints in run is intact; step-00000004 is the newest:
        checkpoint run/checkpoints/step-00000004 is damaged: optimizer.safetensors does not
        match its digest (BLAKE3 HASH, expected HASH)
    hint: restore the folder from a backup, or start a new run in another folder
    ");
}

#[test]
fn more_shards_than_parts_of_the_network() {
    let sandbox = Sandbox::with(&["data"]);
    let crowd = [RUN, &["--device=cpu:1000"]].concat();
    assert_snapshot!(sandbox.covey(&training(&crowd)).complaint(USAGE), @r"
    error: cannot divide the network among 1000 devices, only among 1 to 24
    hint: use at most 24 devices
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_network_larger_than_the_memory_limit() {
    let sandbox = Sandbox::with(&["data"]);
    let small = [RUN, &["--device=cpu:2", "--set=memory.limit=1000000"]].concat();
    let shown = sandbox.covey(&training(&small)).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: training needs 1.54 MB on each device, but 1.00 MB are available (per shard:
        weights 52.7 kB, gradients 52.7 kB, moments 105 kB, gathered 127 kB, activations 283
        kB, workspace 151 kB)
    hint: use `memory.micro_batches_per_gather=1` and
        `memory.activation_checkpointing=blocks` and `train.micro_batch_size=1` to make it
        fit; `covey plan` shows the calculation
    ");
}

#[test]
fn devices_are_listed_with_reasons() {
    let printed = Sandbox::empty().succeed(&["devices"]);
    assert!(printed.stdout.starts_with("cpu "), "{}", printed.stdout);
    let missing = |feature: &str| format!("not usable: this program was built without {feature}");
    assert!(
        cfg!(feature = "cuda") || printed.stdout.contains(&missing("cuda")),
        "{}",
        printed.stdout
    );
    assert!(
        cfg!(feature = "wgpu") || printed.stdout.contains(&missing("wgpu")),
        "{}",
        printed.stdout
    );
}

#[test]
fn the_plan_of_the_published_run() {
    let arguments = [
        "plan",
        "--preset=covenant-72b",
        "--device=cuda:0-7",
        "--device-memory=192GB",
        "--rate=400T",
        "--between=450G",
        "--set=memory.activation_checkpointing=blocks",
        "--set=memory.micro_batches_per_gather=1",
    ];
    let shown = Sandbox::empty().succeed(&arguments).stdout;
    assert_snapshot!(folded(&shown), @r"
    72,747,327,488 parameters on cuda:0-7, bf16, micro-batches of 1 x 2048 tokens, 1 at a
        time, every block recomputed

    memory of each shard, at most
      weights, fp32                    36.4 GB
      gradients, fp32                  36.4 GB
      moments, fp32                    72.8 GB
      gathered weights                 6.01 GB
      gradients in reduction           9.66 GB
      activations                      8.13 GB
      working buffers                  14.1 GB
      peak                             183 GB
      fits                             yes: 183 GB of 192 GB

    memory of the machine, as a peer of a distributed run
      shared weights                   291 GB
      error feedback                   291 GB
      during compression               582 GB
      during a checkpoint              1.16 TB
      peak                             1.75 TB

    a step
      arithmetic                       1.697e17 FLOPs
      recomputed                       20.5 % more
      moved by each shard              12.2 TB
      compute                          1m 03s
      transfers, in parallel           27.16 s
      whole step                       1m 03s

    a round of 30 steps, 20 peers
      delta                            1.27 GB
      sent and received                25.5 GB, 20 deltas
      exchange                         7m 59s
      hidden behind training           0 %
      training                         31m 57s
      computing                        80.0 % of the time
    ");
}
