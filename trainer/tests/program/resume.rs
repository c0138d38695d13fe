//! A run that was killed, however often and wherever, ends as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use insta::assert_snapshot;

use crate::desk::{Desk, FAILURE, USAGE, training};
use crate::trained::{Running, assert_same, essence, last_step};

const RUN: &[&str] = &["--steps=40", "--output=run"];
const GO_ON: &[&str] = &["train", "--resume", "--output=run"];

/// The run that nothing disturbed.
fn undisturbed() -> &'static BTreeMap<&'static str, Vec<u8>> {
    static UNDISTURBED: OnceLock<BTreeMap<&'static str, Vec<u8>>> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let desk = Desk::with(&["data"]);
        desk.succeed(&training(RUN));
        essence(&desk.path("run"), 40)
    })
}

/// The run with checkpoints every `every` steps.
fn run_saving(every: &str) -> Vec<&str> {
    [training(RUN), vec!["--set", every]].concat()
}

#[test]
fn training_twice_gives_the_same_bits() {
    let desk = Desk::with(&["data"]);
    desk.succeed(&training(RUN));
    assert_same(&essence(&desk.path("run"), 40), undisturbed());
}

/// 17 steps, kill -9, resume, 23 more.
#[test]
fn resume_is_invisible() {
    let desk = killed_after_17_steps();
    let resumed = desk.succeed(GO_ON);
    assert!(resumed.stderr.contains("going on from run/checkpoints/step-00000017"), "{}", resumed.stderr);
    assert_same(&essence(&desk.path("run"), 40), undisturbed());
}

/// The same on a machine with another number of cores.
#[test]
fn resume_is_invisible_on_other_numbers_of_threads() {
    for threads in ["--threads=1", "--threads=3"] {
        let desk = killed_after_17_steps();
        desk.succeed(&[GO_ON, &[threads]].concat());
        assert_same(&essence(&desk.path("run"), 40), undisturbed());
    }
}

/// A run that was killed soon after its checkpoint of step 17.
fn killed_after_17_steps() -> Desk {
    // On a busy machine the run may be over before the kill; then it is for nothing.
    let attempts = (0..20).map(|_| {
        let desk = Desk::with(&["data"]);
        let mut running = Running::start(&desk, &run_saving("checkpoint.every=17"));
        running.wait_until(|| desk.has("run/checkpoints/step-00000017"));
        (running.kill().code.is_none() && !desk.has("run/checkpoints/step-00000034")).then_some(desk)
    });
    attempts.flatten().next().expect("one kill in twenty is in time")
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// With a checkpoint after every step, nearly every kill falls into the writing of one.
#[test]
fn resume_is_invisible_however_often_it_is_killed() {
    let desk = Desk::with(&["data"]);
    let run = desk.path("run");
    let (mut dice, mut kills) = (Dice(17), 0);
    loop {
        let from = last_step(&run);
        let begin = run_saving("checkpoint.every=1");
        // Killed before its first checkpoint, a run begins again.
        let mut running = Running::start(&desk, if has_checkpoint(&desk) { GO_ON } else { &begin });
        let until = from + 3 + dice.roll(9);
        running.wait_until(|| last_step(&run) > until);
        sleep(Duration::from_micros(dice.roll(6000)));
        let said = running.kill();
        if said.code.is_some() {
            assert_eq!(said.code, Some(0), "{}", said.stderr);
            break;
        }
        kills += 1;
    }
    assert!(kills > 1, "only {kills} kills hit");
    assert_same(&essence(&run, 40), undisturbed());
}

fn has_checkpoint(desk: &Desk) -> bool {
    let names = fs::read_dir(desk.path("run/checkpoints")).into_iter().flatten();
    names.map(|name| name.unwrap().file_name()).any(|name| name.len() == "step-00000001".len())
}

#[test]
fn resume_is_invisible_after_a_kill_inside_the_checkpoint_write() {
    let desk = Desk::with(&["data"]);
    desk.succeed(&[training(&["--steps=40", "--output=run"]), vec!["--set=checkpoint.every=10"]].concat());
    // As a kill in the middle of writing step 30 leaves it: an unfinished folder, lines that are ahead of the checkpoint
    // and a last one that is cut short.
    let (step_30, step_40) = (desk.path("run/checkpoints/step-00000030"), desk.path("run/checkpoints/step-00000040"));
    fs::rename(step_30, desk.path("run/checkpoints/step-00000030.partial-4711")).unwrap();
    fs::remove_file(desk.path("run/checkpoints/step-00000030.partial-4711/manifest.json")).unwrap();
    desk.truncate("run/checkpoints/step-00000030.partial-4711/optimizer.safetensors");
    fs::rename(step_40, desk.path("run/checkpoints/step-00000010.discarded-4711")).unwrap();
    let metrics = desk.read("run/metrics.jsonl");
    desk.write("run/metrics.jsonl", &metrics[..metrics.len() - 100]);

    let resumed = desk.succeed(GO_ON);
    assert!(resumed.stderr.starts_with("going on from run/checkpoints/step-00000020\n"), "{}", resumed.stderr);
    assert!(!desk.has("run/checkpoints/step-00000030.partial-4711"));
    assert!(!desk.has("run/checkpoints/step-00000010.discarded-4711"));
    assert_same(&essence(&desk.path("run"), 40), undisturbed());
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_nobody_can_tell_afterwards() {
    let desk = Desk::with(&["data"]);
    desk.succeed(&[training(RUN), vec!["--set=checkpoint.every=10"]].concat());
    desk.flip("run/checkpoints/step-00000040/optimizer.safetensors", 5000);
    desk.truncate("run/checkpoints/step-00000030/model.safetensors");
    let resumed = desk.succeed(GO_ON);
    assert_snapshot!(resumed.complaint(0), @r"
    warning: passed over run/checkpoints/step-00000040: checkpoint run/checkpoints/step-00000040 is damaged: optimizer.safetensors has other contents than were written (BLAKE3 HASH, expected HASH)
    warning: passed over run/checkpoints/step-00000030: checkpoint run/checkpoints/step-00000030 is damaged: model.safetensors has 51252 bytes, expected 102504
    going on from run/checkpoints/step-00000020
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    finished after step 40; saved run/checkpoints/step-00000040
    ");
    assert_same(&essence(&desk.path("run"), 40), undisturbed());
}

#[test]
fn resume_is_invisible_with_several_sources() {
    let desk = Desk::with(&["texts/00.txt", "texts/01.txt", "tokenizer", "data"]);
    desk.succeed(&["prepare", "texts", "--tokenizer=tokenizer", "--output=less", "--held-out=0.1"]);
    let mixed = ["--data=less", "--steps=20", "--set=checkpoint.every=10"];
    desk.succeed(&training(&[mixed.as_slice(), &["--output=undisturbed"]].concat()));
    desk.succeed(&training(&[mixed.as_slice(), &["--output=run"]].concat()));
    desk.truncate("run/checkpoints/step-00000020/model.safetensors");
    desk.succeed(GO_ON);
    assert_same(&essence(&desk.path("run"), 20), &essence(&desk.path("undisturbed"), 20));
}

#[test]
fn with_every_checkpoint_damaged_somebody_has_to_decide() {
    let desk = Desk::with(&["data", "trained"]);
    for step in [20, 30, 40] {
        desk.flip(&format!("trained/checkpoints/step-000000{step}/model.safetensors"), 9000);
    }
    assert_snapshot!(desk.covey(&["train", "--resume", "--output=trained"]).complaint(FAILURE), @r"
    error: none of the 3 checkpoints in trained is intact; step-00000040 is the newest: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has other contents than were written (BLAKE3 HASH, expected HASH)
    hint: restore the folder from a copy, or begin a new run in another folder
    ");
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let desk = Desk::with(&["data", "trained"]);
    assert_snapshot!(desk.covey(&["train", "--resume", "--output=trained"]).complaint(0), @r"
    going on from trained/checkpoints/step-00000040
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    all 40 steps were done before; nothing was left to do
    ");
}

#[test]
fn more_steps_can_be_asked_for() {
    let desk = Desk::with(&["data", "trained"]);
    desk.succeed(&["train", "--resume", "--output=trained", "--steps=45"]);
    assert_eq!(last_step(&desk.path("trained")), 45);
}

#[test]
fn resuming_needs_a_run() {
    let desk = Desk::with(&["data"]);
    assert_snapshot!(desk.covey(&["train", "--resume", "--output=run"]).complaint(USAGE), @r"
    error: run has no checkpoint to go on from
    hint: name the run's folder with `--output`, or leave out `--resume` to begin it
    ");
    assert!(!desk.has("run"));
}

#[test]
fn a_run_keeps_its_network() {
    let desk = Desk::with(&["data", "trained"]);
    let arguments = ["train", "--resume", "--output=trained", "--steps=45", "--set=model.hidden_size=64"];
    assert_snapshot!(desk.covey(&arguments).complaint(USAGE), @r"
    going on from trained/checkpoints/step-00000040
    error: the configuration describes another network than the one in trained/checkpoints/step-00000040
    hint: leave the keys of `model` as they were, or begin a new run in another folder
    ");
}

#[test]
fn a_run_keeps_its_seed() {
    let desk = Desk::with(&["data", "trained"]);
    let arguments = ["train", "--resume", "--output=trained", "--steps=45", "--seed=7"];
    assert_snapshot!(desk.covey(&arguments).complaint(USAGE), @r"
    going on from trained/checkpoints/step-00000040
    error: run.seed = 7, but the run began with 42
    hint: leave the seed out to go on with the run's own
    ");
}

#[test]
fn a_run_keeps_its_data() {
    let desk = Desk::with(&["texts/00.txt", "texts/01.txt", "tokenizer", "data", "trained"]);
    desk.succeed(&["prepare", "texts", "--tokenizer=tokenizer", "--output=less", "--held-out=0.1"]);
    let arguments = ["train", "--resume", "--output=trained", "--steps=45", "--data=less"];
    assert_snapshot!(desk.covey(&arguments).complaint(FAILURE), @r"
    going on from trained/checkpoints/step-00000040
    error: the cursor does not fit the data: source 1: it counts in dataset HASH, this is HASH
    hint: resume with the same data, or start a new run
    ");
}
