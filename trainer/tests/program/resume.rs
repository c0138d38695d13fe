//! A run that is killed at any moment and resumed ends with the same bits.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use insta::assert_snapshot;

use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded, training};
use crate::support::trained::{Running, assert_same, last_step, reproducible_parts};

const RUN: &[&str] = &["--steps=40", "--output=run"];
const RESUME: &[&str] = &["train", "--resume", "--output=run"];

/// The run without interruption.
fn undisturbed() -> &'static BTreeMap<&'static str, Vec<u8>> {
    static UNDISTURBED: OnceLock<BTreeMap<&'static str, Vec<u8>>> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let sandbox = Sandbox::with(&["data"]);
        sandbox.succeed(&training(RUN));
        reproducible_parts(&sandbox.path("run"), 40)
    })
}

/// The run with checkpoints every `every` steps.
fn run_saving(every: &str) -> Vec<&str> {
    [training(RUN), vec!["--set", every]].concat()
}

#[test]
fn training_twice_gives_the_same_bits() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.succeed(&training(RUN));
    assert_same(&reproducible_parts(&sandbox.path("run"), 40), undisturbed());
}

/// 17 steps, kill -9, resume, 23 more.
#[test]
fn a_killed_run_resumes_with_the_same_bits() {
    let sandbox = killed_after_17_steps();
    let resumed = sandbox.succeed(RESUME);
    assert!(
        resumed.stderr.contains("continuing from run/checkpoints/step-00000017"),
        "{}",
        resumed.stderr
    );
    assert_same(&reproducible_parts(&sandbox.path("run"), 40), undisturbed());
}

/// The same on a machine with another number of cores.
#[test]
fn a_killed_run_resumes_with_the_same_bits_on_any_number_of_threads() {
    for threads in ["--threads=1", "--threads=3"] {
        let sandbox = killed_after_17_steps();
        sandbox.succeed(&[RESUME, &[threads]].concat());
        assert_same(&reproducible_parts(&sandbox.path("run"), 40), undisturbed());
    }
}

/// A run that was killed soon after its checkpoint of step 17.
fn killed_after_17_steps() -> Sandbox {
    // On a busy machine the run may be complete before the kill; then another attempt is needed.
    let attempts = (0..20).map(|_| {
        let sandbox = Sandbox::with(&["data"]);
        let mut running = Running::start(&sandbox, &run_saving("checkpoint.every=17"));
        running.wait_until(|| sandbox.has("run/checkpoints/step-00000017"));
        (running.kill().code.is_none() && !sandbox.has("run/checkpoints/step-00000034"))
            .then_some(sandbox)
    });
    attempts.flatten().next().expect("every kill came too late")
}

/// A pseudo-random number generator with a fixed seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// With a checkpoint after every step, nearly every kill interrupts the write of one.
#[test]
fn a_run_killed_many_times_resumes_with_the_same_bits() {
    let sandbox = Sandbox::with(&["data"]);
    let run = sandbox.path("run");
    let (mut dice, mut kills) = (Dice(17), 0);
    loop {
        let from = last_step(&run);
        let begin = run_saving("checkpoint.every=1");
        // A run that was killed before its first checkpoint starts again.
        let mut running =
            Running::start(&sandbox, if has_checkpoint(&sandbox) { RESUME } else { &begin });
        let until = from + 3 + dice.throw(9);
        running.wait_until(|| last_step(&run) > until);
        sleep(Duration::from_micros(dice.throw(6000)));
        let printed = running.kill();
        if printed.code.is_some() {
            assert_eq!(printed.code, Some(0), "{}", printed.stderr);
            break;
        }
        kills += 1;
    }
    assert!(kills > 1, "only {kills} kills came in time");
    assert_same(&reproducible_parts(&run, 40), undisturbed());
}

fn has_checkpoint(sandbox: &Sandbox) -> bool {
    let names = fs::read_dir(sandbox.path("run/checkpoints")).into_iter().flatten();
    names.map(|name| name.unwrap().file_name()).any(|name| name.len() == "step-00000001".len())
}

#[test]
fn a_kill_during_a_checkpoint_write_changes_no_bits() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.succeed(
        &[training(&["--steps=40", "--output=run"]), vec!["--set=checkpoint.every=10"]].concat(),
    );
    // The state after a kill during the write of step 30: an unfinished folder, metrics beyond the
    // last checkpoint, and a truncated last line.
    let (step_30, step_40) = (
        sandbox.path("run/checkpoints/step-00000030"),
        sandbox.path("run/checkpoints/step-00000040"),
    );
    fs::rename(step_30, sandbox.path("run/checkpoints/step-00000030.partial-4711")).unwrap();
    fs::remove_file(sandbox.path("run/checkpoints/step-00000030.partial-4711/manifest.json"))
        .unwrap();
    sandbox.truncate("run/checkpoints/step-00000030.partial-4711/optimizer.safetensors");
    fs::rename(step_40, sandbox.path("run/checkpoints/step-00000010.discarded-4711")).unwrap();
    let metrics = sandbox.read("run/metrics.jsonl");
    sandbox.write("run/metrics.jsonl", &metrics[..metrics.len() - 100]);

    let resumed = sandbox.succeed(RESUME);
    assert!(
        resumed.stderr.starts_with("continuing from run/checkpoints/step-00000020\n"),
        "{}",
        resumed.stderr
    );
    assert!(!sandbox.has("run/checkpoints/step-00000030.partial-4711"));
    assert!(!sandbox.has("run/checkpoints/step-00000010.discarded-4711"));
    assert_same(&reproducible_parts(&sandbox.path("run"), 40), undisturbed());
}

#[test]
fn a_damaged_checkpoint_is_skipped_and_the_result_has_the_same_bits() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.succeed(&[training(RUN), vec!["--set=checkpoint.every=10"]].concat());
    sandbox.flip("run/checkpoints/step-00000040/optimizer.safetensors", 5000);
    sandbox.truncate("run/checkpoints/step-00000030/model.safetensors");
    let resumed = sandbox.succeed(RESUME);
    let shown = resumed.complaint(0);
    assert_snapshot!(folded(&shown), @r"
    warning: passed over run/checkpoints/step-00000040: checkpoint
        run/checkpoints/step-00000040 is damaged: optimizer.safetensors does not match its
        digest (BLAKE3 HASH, expected HASH)
    warning: passed over run/checkpoints/step-00000030: checkpoint
        run/checkpoints/step-00000030 is damaged: model.safetensors has 51252 bytes,
        expected 102504
    continuing from run/checkpoints/step-00000020
    kept a later checkpoint as run/checkpoints/step-00000030.set-aside-1
    kept a later checkpoint as run/checkpoints/step-00000040.set-aside-1
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    finished after step 40; saved run/checkpoints/step-00000040
    ");
    assert_same(&reproducible_parts(&sandbox.path("run"), 40), undisturbed());
}

#[test]
fn a_run_with_several_sources_resumes_with_the_same_bits() {
    let sandbox = Sandbox::with(&["texts/00.txt", "texts/01.txt", "tokenizer", "data"]);
    sandbox.succeed(&[
        "prepare",
        "texts",
        "--tokenizer=tokenizer",
        "--output=less",
        "--held-out=0.1",
    ]);
    let mixed = ["--data=less", "--steps=20", "--set=checkpoint.every=10"];
    sandbox.succeed(&training(&[mixed.as_slice(), &["--output=undisturbed"]].concat()));
    sandbox.succeed(&training(&[mixed.as_slice(), &["--output=run"]].concat()));
    sandbox.truncate("run/checkpoints/step-00000020/model.safetensors");
    sandbox.succeed(RESUME);
    assert_same(
        &reproducible_parts(&sandbox.path("run"), 20),
        &reproducible_parts(&sandbox.path("undisturbed"), 20),
    );
}

#[test]
fn resuming_fails_if_every_checkpoint_is_damaged() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    for step in [20, 30, 40] {
        sandbox.flip(&format!("trained/checkpoints/step-000000{step}/model.safetensors"), 9000);
    }
    let shown = sandbox.covey(&["train", "--resume", "--output=trained"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: none of the 3 checkpoints in trained is intact; step-00000040 is the newest:
        checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors does not
        match its digest (BLAKE3 HASH, expected HASH)
    hint: restore the folder from a backup, or start a new run in another folder
    ");
}

#[test]
fn resuming_a_complete_run_does_nothing() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    assert_snapshot!(sandbox.covey(&["train", "--resume", "--output=trained"]).complaint(0), @r"
    continuing from trained/checkpoints/step-00000040
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    all 40 steps are complete; there is nothing to do
    ");
}

#[test]
fn a_complete_run_can_be_extended() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    sandbox.succeed(&["train", "--resume", "--output=trained", "--steps=45"]);
    assert_eq!(last_step(&sandbox.path("trained")), 45);
}

#[test]
fn resuming_needs_a_checkpoint() {
    let sandbox = Sandbox::with(&["data"]);
    assert_snapshot!(sandbox.covey(&["train", "--resume", "--output=run"]).complaint(USAGE), @r"
    error: run has no checkpoint to resume from
    hint: name the run's folder with `--output`, or leave out `--resume` to start it
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_run_keeps_its_network() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    let arguments =
        ["train", "--resume", "--output=trained", "--steps=45", "--set=model.hidden_size=64"];
    let shown = sandbox.covey(&arguments).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    continuing from trained/checkpoints/step-00000040
    error: the model in the configuration differs from the model in
        trained/checkpoints/step-00000040
    hint: restore the keys of `model`, or start a new run in another folder
    ");
}

#[test]
fn a_run_keeps_its_seed() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    let arguments = ["train", "--resume", "--output=trained", "--steps=45", "--seed=7"];
    assert_snapshot!(sandbox.covey(&arguments).complaint(USAGE), @r"
    continuing from trained/checkpoints/step-00000040
    error: run.seed = 7, but the run started with 42
    hint: leave out `run.seed` to continue with the seed of the run
    ");
}

#[test]
fn a_run_keeps_its_data() {
    let sandbox = Sandbox::with(&["texts/00.txt", "texts/01.txt", "tokenizer", "data", "trained"]);
    sandbox.succeed(&[
        "prepare",
        "texts",
        "--tokenizer=tokenizer",
        "--output=less",
        "--held-out=0.1",
    ]);
    let arguments = ["train", "--resume", "--output=trained", "--steps=45", "--data=less"];
    let shown = sandbox.covey(&arguments).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    continuing from trained/checkpoints/step-00000040
    error: the cursor does not match the data: source 1: it was made for dataset HASH, this
        is HASH
    hint: resume with the same data, or start a new run
    ");
}
