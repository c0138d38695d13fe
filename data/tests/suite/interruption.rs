//! Preparations that are stopped and go on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use covey_data::prepare::{
    Note, Pipeline, PrepareObserver, PrepareOptions, Progress, builtin_corpus,
};
use tempfile::TempDir;

use crate::fixture::{GO_ON, TOKENIZER, contents, write_json_lines};

/// Notes everything and sets the flag after some calls.
struct Interruption {
    after: usize,
    stop: AtomicBool,
    calls: Vec<Progress>,
    notes: Vec<Note>,
}

/// Lets the observer and the caller share the flag.
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
fn interruptions_are_invisible() {
    let (home, inputs) = speeches();
    let (straight, broken) = (home.path().join("straight"), home.path().join("broken"));
    let (whole, result) = Interruption::run(usize::MAX, &inputs, &straight, options());
    result.unwrap();
    assert!(whole.calls.len() >= 3, "several batches are needed for this test");
    let mut resumed = 0;
    for _ in 0..100 {
        let (run, result) = Interruption::run(2, &inputs, &broken, options());
        resumed += run.notes.iter().filter(|note| matches!(note, Note::Resumed { .. })).count();
        match result {
            Ok(()) => break,
            Err(error) => assert!(
                matches!(error, DataError::Cancelled) && run.stop.into_inner() && run.after == 2
            ),
        }
        assert!(!broken.join("manifest.json").exists());
    }
    assert!(resumed >= 1);
    assert_eq!(contents(&straight), contents(&broken));
}

#[test]
fn changed_inputs_start_again() {
    let (home, inputs) = speeches();
    let (straight, broken) = (home.path().join("straight"), home.path().join("broken"));
    let other = PrepareOptions { seed: 4, shard_tokens: 20_000, ..options() };
    Interruption::run(2, &inputs, &broken, other).1.unwrap_err();
    assert!(broken.join("prepare-state.json").exists());
    let (run, result) = Interruption::run(usize::MAX, &inputs, &broken, options());
    result.unwrap();
    assert_eq!(run.notes, [Note::StartedAgain]);
    Interruption::run(usize::MAX, &inputs, &straight, options()).1.unwrap();
    assert_eq!(contents(&straight), contents(&broken));
}

#[test]
fn damaged_leftovers_start_again() {
    let (home, inputs) = speeches();
    let folder = home.path().join("out");
    Interruption::run(2, &inputs, &folder, options()).1.unwrap_err();
    std::fs::write(folder.join("train-00000.safetensors"), "other bytes").unwrap();
    let (run, result) = Interruption::run(usize::MAX, &inputs, &folder, options());
    result.unwrap();
    assert_eq!(run.notes, [Note::StartedAgain]);
    covey_data::dataset::Dataset::open(&folder).unwrap().verify().unwrap();
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
fn threads_do_not_matter() {
    let (home, inputs) = speeches();
    let (many, one) = (home.path().join("many"), home.path().join("one"));
    let prepare = |folder: &Path| {
        let preparation =
            Pipeline { options: options(), ..Pipeline::new(&inputs, &TOKENIZER, folder) };
        preparation.run(&mut (), &GO_ON).map(|_| ())
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
