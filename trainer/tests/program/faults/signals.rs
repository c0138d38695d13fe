//! Ctrl-C and SIGTERM: the program saves, prints how to continue, and ends.

use std::process::Command;

use insta::assert_snapshot;

use crate::support::sandbox::{FAILURE, ProgramOutput, Sandbox, training};
use crate::support::trained::{Running, assert_same, last_step, reproducible_parts};

/// Long enough for a signal to arrive before the end.
const RUN: &[&str] = &["--steps=150", "--output=run"];
const RESUME: &[&str] = &["train", "--resume", "--output=run"];

#[test]
fn a_stopped_run_resumes_with_the_same_bits() {
    let undisturbed = Sandbox::with(&["data"]);
    undisturbed.succeed(&training(RUN));
    let undisturbed = reproducible_parts(&undisturbed.path("run"), 150);
    for signal in ["INT", "TERM"] {
        let (sandbox, stopped, step) = stopped_by(signal);
        let expected = format!(
            "25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB\n\
             stopping cleanly; press Ctrl-C again to stop at once\n\
             stopped after step {step}; continue with `covey train --resume --output run`\n"
        );
        assert_eq!(stopped.complaint(0), expected);
        sandbox.succeed(RESUME);
        assert_same(&reproducible_parts(&sandbox.path("run"), 150), &undisturbed);
    }
}

/// A run that was stopped by `signal`, its output, and its last step.
fn stopped_by(signal: &str) -> (Sandbox, ProgramOutput, u64) {
    // On a busy machine the run may be complete before the signal; then another attempt is needed.
    let attempts = (0..20).map(|_| {
        let sandbox = Sandbox::with(&["data"]);
        let mut running = Running::start(&sandbox, &training(RUN));
        running.wait_until(|| last_step(&sandbox.path("run")) >= 3);
        running.signal(signal);
        let printed = running.end();
        let step = last_step(&sandbox.path("run"));
        (step < 150).then_some((sandbox, printed, step))
    });
    attempts.flatten().next().expect("every signal came too late")
}

/// The untrained model is evaluated once, even if the run is stopped before its first step.
#[test]
fn a_run_stopped_before_its_first_step_resumes_with_the_same_bits() {
    let undisturbed = Sandbox::with(&["data"]);
    undisturbed.succeed(&training(&["--steps=10", "--output=run"]));
    let sandbox = Sandbox::with(&["data"]);
    let mut running = Running::start(&sandbox, &training(&["--steps=10", "--output=run"]));
    running.wait_until(|| sandbox.has("run/checkpoints/.lock"));
    running.signal("INT");
    assert_eq!(running.end().code, Some(0));
    sandbox.succeed(RESUME);
    assert_same(
        &reproducible_parts(&sandbox.path("run"), 10),
        &reproducible_parts(&undisturbed.path("run"), 10),
    );
}

#[test]
fn the_second_ctrl_c_stops_at_once() {
    let sandbox = Sandbox::empty();
    // Opening a pipe without a writer blocks forever.
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe.txt")).status().unwrap().success());
    let mut running = Running::start(&sandbox, &["tokenizer", "train", "pipe.txt"]);
    running.wait_for_line("training the tokenizer");
    running.signal("INT");
    running.wait_for_line("stopping cleanly; press Ctrl-C again to stop at once");
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    assert!(!sandbox.has("tokenizer.json"));
}

#[test]
fn only_one_process_can_use_a_run_folder() {
    let sandbox = Sandbox::with(&["data"]);
    let keeping_all = ["--set=checkpoint.every=1", "--set=checkpoint.keep=1000000"];
    let mut running = Running::start(
        &sandbox,
        &training(&[&["--steps=1000000", "--output=run"], keeping_all.as_slice()].concat()),
    );
    running.wait_until(|| sandbox.has("run/checkpoints/step-00000001"));
    let second = sandbox.covey(RESUME).complaint(FAILURE);
    let (_, second) = second.split_once('\n').unwrap();
    assert_snapshot!(second, @r"
    error: run is in use by another process
    hint: wait for it to end, stop it, or choose another folder with `--output`
    ");
    assert_eq!(running.kill().code, None, "the first process must continue");
}
