//! Preparations that are interrupted and continued.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use covey_data::prepare::{
    Note, Pipeline, PrepareObserver, PrepareOptions, Progress, builtin_corpus,
};
use tempfile::TempDir;

use crate::fixture::{NO_STOP, TOKENIZER, contents, write_json_lines};

/// The record of a run that stops after some progress reports.
struct Interruption {
    after: usize,
    stop: AtomicBool,
    calls: Vec<Progress>,
    notes: Vec<Note>,
}

/// The observer of that run, which sets the flag of the caller.
struct Watched<'a> {
    after: usize,
    stop: &'a AtomicBool,
    calls: Vec<Progress>,
    notes: Vec<Note>,
}

impl Interruption {
    fn run(
        after: usize,
        inputs: &InputFiles,
        folder: &Path,
        options: PrepareOptions,
    ) -> (Self, Result<(), DataError>) {
        let stop = AtomicBool::new(false);
        let mut watched = Watched { after, stop: &stop, calls: Vec::new(), notes: Vec::new() };
        let preparation = Pipeline { options, ..Pipeline::new(inputs, &TOKENIZER, folder) };
        let result = preparation.run(&mut watched, &stop).map(|_| ());
        let Watched { calls, notes, .. } = watched;
        (Self { after, stop, calls, notes }, result)
    }
}

impl PrepareObserver for Watched<'_> {
    fn progress(&mut self, progress: Progress) {
        self.calls.push(progress);
        self.stop.store(self.calls.len() >= self.after, Ordering::Relaxed);
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// Speeches in two files, enough for several batches.
fn speeches() -> (TempDir, InputFiles) {
    let home = tempfile::tempdir().unwrap();
    let speeches: Vec<String> =
        builtin_corpus::documents().take(60).map(|document| document.text).collect();
    let paths = [home.path().join("a.jsonl"), home.path().join("b.jsonl")];
    write_json_lines(&paths[0], &speeches[..25]);
    write_json_lines(&paths[1], &speeches[25..]);
    let inputs = InputFiles::find(&paths, "text").unwrap();
    (home, inputs)
}

fn options() -> PrepareOptions {
    PrepareOptions { shard_tokens: 40_000, held_out_fraction: 0.2, seed: 3 }
}

#[test]
fn an_interrupted_run_gives_the_bytes_of_a_complete_one() {
    let (home, inputs) = speeches();
    let (complete, interrupted) = (home.path().join("complete"), home.path().join("interrupted"));
    let (whole, result) = Interruption::run(usize::MAX, &inputs, &complete, options());
    result.unwrap();
    assert!(whole.calls.len() >= 3, "several batches are needed for this test");
    let mut resumed = 0;
    for _ in 0..100 {
        let (run, result) = Interruption::run(2, &inputs, &interrupted, options());
        resumed += run.notes.iter().filter(|note| matches!(note, Note::Resumed { .. })).count();
        match result {
            Ok(()) => break,
            Err(error) => assert!(
                matches!(error, DataError::Cancelled) && run.stop.into_inner() && run.after == 2
            ),
        }
        assert!(!interrupted.join("manifest.json").exists());
    }
    assert!(resumed >= 1);
    assert_eq!(contents(&complete), contents(&interrupted));
}

#[test]
fn changed_inputs_start_again() {
    let (home, inputs) = speeches();
    let (complete, interrupted) = (home.path().join("complete"), home.path().join("interrupted"));
    let other = PrepareOptions { seed: 4, shard_tokens: 20_000, ..options() };
    Interruption::run(2, &inputs, &interrupted, other).1.unwrap_err();
    assert!(interrupted.join("prepare-state.json").exists());
    let (run, result) = Interruption::run(usize::MAX, &inputs, &interrupted, options());
    result.unwrap();
    assert_eq!(run.notes, [Note::StartedAgain]);
    Interruption::run(usize::MAX, &inputs, &complete, options()).1.unwrap();
    assert_eq!(contents(&complete), contents(&interrupted));
}

#[test]
fn a_damaged_shard_of_an_interrupted_run_starts_it_again() {
    let (home, inputs) = speeches();
    let folder = home.path().join("out");
    Interruption::run(2, &inputs, &folder, options()).1.unwrap_err();
    fs::write(folder.join("train-00000.safetensors"), "other bytes").unwrap();
    let (run, result) = Interruption::run(usize::MAX, &inputs, &folder, options());
    result.unwrap();
    assert_eq!(run.notes, [Note::StartedAgain]);
    covey_data::dataset::Dataset::open(&folder).unwrap().verify().unwrap();
}

/// Replaces a file by a folder, which cannot be read as a file even by root; returns its bytes.
fn make_unreadable(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    bytes
}

#[test]
fn a_state_that_cannot_be_read_is_an_error_and_keeps_the_shards() {
    let (home, inputs) = speeches();
    let folder = home.path().join("out");
    Interruption::run(2, &inputs, &folder, options()).1.unwrap_err();
    for name in ["prepare-state.json", "train-00000.safetensors"] {
        let file = folder.join(name);
        let bytes = make_unreadable(&file);
        let (run, result) = Interruption::run(usize::MAX, &inputs, &folder, options());
        let error = result.unwrap_err();
        let names_file =
            matches!(&error, DataError::ResumeStateUnreadable { path, .. } if *path == file);
        assert!(names_file && error.hint().is_some(), "{error}");
        assert!(run.notes.is_empty());
        fs::remove_dir(&file).unwrap();
        fs::write(&file, bytes).unwrap();
    }
    // No file was discarded: the run continues once all of them can be read again.
    let (run, result) = Interruption::run(usize::MAX, &inputs, &folder, options());
    result.unwrap();
    assert!(matches!(run.notes[..], [Note::Resumed { .. }]), "{:?}", run.notes);
}

#[test]
fn progress_ends_at_the_total() {
    let (home, inputs) = speeches();
    let (run, result) = Interruption::run(usize::MAX, &inputs, &home.path().join("out"), options());
    result.unwrap();
    assert!(run.calls.is_sorted_by_key(|progress| (progress.bytes_done, progress.tokens)));
    let last = run.calls.last().unwrap();
    assert_eq!((last.bytes_done, last.documents), (last.bytes_total, 60));
}

#[test]
fn the_number_of_threads_does_not_change_the_bytes() {
    let (home, inputs) = speeches();
    let (many, one) = (home.path().join("many"), home.path().join("one"));
    let prepare = |folder: &Path| {
        let preparation =
            Pipeline { options: options(), ..Pipeline::new(&inputs, &TOKENIZER, folder) };
        preparation.run(&mut (), &NO_STOP).map(|_| ())
    };
    prepare(&many).unwrap();
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap()
        .install(|| prepare(&one))
        .unwrap();
    assert_eq!(contents(&many), contents(&one));
}
