//! Full disks. The tests of `checkpoint` and `covey-data` fail every single write.

use insta::assert_snapshot;

use crate::support::fixtures::files_below;
use crate::support::sandbox::{FAILURE, Sandbox, folded, training};

#[test]
fn a_full_disk_during_a_checkpoint() {
    let sandbox = Sandbox::with(&["data"]);
    let printed = sandbox.covey_with_file_limit(
        64,
        &training(&["--steps=10", "--output=run", "--set=checkpoint.every=5"]),
    );
    let shown = printed.complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    error: no space left on device while writing
        run/checkpoints/step-00000005.partial-PID/model.safetensors
      caused by: File too large (os error 27)
    hint: free some space, keep fewer checkpoints (`checkpoint.keep`) or choose another disk
        with `--output`; then continue with `--resume`
    ");
    let left: Vec<_> = files_below(&sandbox.path("run/checkpoints")).into_keys().collect();
    assert_eq!(left, [std::path::PathBuf::from(".lock")]);
}

#[test]
fn a_full_disk_during_prepare() {
    let sandbox = Sandbox::with(&["texts", "tokenizer"]);
    let prepare = ["prepare", "texts", "--tokenizer=tokenizer", "--output=data"];
    let shown = sandbox.covey_with_file_limit(2, &prepare).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: disk full while writing data/tokenizer.json
    hint: free some space and run the same command again; `covey prepare` continues after
        the last shard
    ");
    assert!(!sandbox.has("data/tokenizer.json") && !sandbox.has("data/manifest.json"));
    sandbox.succeed(&prepare);
}

#[test]
fn a_full_disk_during_tokenizer_training() {
    let sandbox = Sandbox::with(&["texts"]);
    let shown =
        sandbox.covey_with_file_limit(2, &["tokenizer", "train", "texts"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    training the tokenizer
    trained a tokenizer of 305 tokens on 30 documents (TIME)
    error: disk full while writing ./tokenizer.json
    hint: free some space and run the same command again; `covey prepare` continues after
        the last shard
    ");
    assert!(!sandbox.has("tokenizer.json"));
}

#[test]
fn a_full_disk_during_an_export() {
    let sandbox = Sandbox::with(&["trained"]);
    let shown = sandbox
        .covey_with_file_limit(64, &["export", "trained", "--output=hub"])
        .complaint(FAILURE);
    assert_snapshot!(shown, @r"
    error: cannot write `hub/model.safetensors`
      caused by: File too large (os error 27)
    hint: check free space and permissions, then try again
    ");
    assert!(files_below(&sandbox.path("hub")).is_empty());
}

#[cfg(target_os = "linux")]
mod device {
    use std::fs::OpenOptions;

    use super::*;
    use crate::support::sandbox::ProgramOutput;

    #[test]
    fn a_full_disk_for_metrics() {
        let sandbox = Sandbox::with(&["data"]);
        std::fs::create_dir(sandbox.path("run")).unwrap();
        std::os::unix::fs::symlink("/dev/full", sandbox.path("run/metrics.jsonl")).unwrap();
        assert_snapshot!(sandbox.train(&["--output=run"]).complaint(FAILURE), @r"
        25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
        error: cannot write run/metrics.jsonl: No space left on device (os error 28)
        hint: free some space, then continue with `--resume`
        ");
    }

    #[test]
    fn a_full_disk_for_stdout() {
        let sandbox = Sandbox::with(&["hub", "data"]);
        let complaint = |arguments: &[&str]| {
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            ProgramOutput::new(
                sandbox
                    .command(arguments)
                    .stdout(full)
                    .stderr(std::process::Stdio::piped())
                    .output()
                    .unwrap(),
            )
            .complaint(FAILURE)
        };
        let message =
            "error: cannot write to stdout\n  caused by: No space left on device (os error 28)\n";
        assert_eq!(complaint(&["config", "show"]), message);
        assert_eq!(complaint(&["config", "presets"]), message);
        assert!(complaint(&["eval", "hub", "--data=data"]).ends_with(message));
        assert_snapshot!(complaint(&["generate", "hub", "--greedy", "--max-tokens=3"]), @r"
        error: cannot write the text
          caused by: No space left on device (os error 28)
        ");
    }
}
