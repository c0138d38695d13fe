//! Small corpora, tokenizers and datasets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use covey_data::dataset::Dataset;
use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use covey_data::prepare::{Pipeline, PrepareOptions, Prepared, builtin_corpus};
use covey_data::tokenizer::Tokenizer;
use tempfile::TempDir;

/// A tokenizer of 400 tokens, trained once for all tests.
pub(crate) static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let chapters = builtin_corpus::documents().skip(233).take(5).map(|document| Ok(document.text));
    Tokenizer::train(chapters, 400).unwrap()
});

/// A stop flag that is never set.
pub(crate) static NO_STOP: AtomicBool = AtomicBool::new(false);

/// Short documents, all different, with characters outside of ASCII.
pub(crate) fn documents(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            format!("Document {number}: {}— fin.", "the whale, naïve ".repeat(number % 7 + 1))
        })
        .collect()
}

/// Writes documents as JSON lines.
pub(crate) fn write_json_lines(path: &Path, documents: &[String]) {
    let lines = documents
        .iter()
        .map(|text| serde_json::json!({ "id": 1, "text": text }).to_string() + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
}

/// Prepares one input path.
pub(crate) fn prepare(
    input: &Path,
    folder: &Path,
    options: PrepareOptions,
) -> Result<Prepared, DataError> {
    let inputs = InputFiles::find(&[input.to_path_buf()], "text")?;
    Pipeline { options, ..Pipeline::new(&inputs, &TOKENIZER, folder) }.run(&mut (), &NO_STOP)
}

/// Options for shards small enough to get several.
pub(crate) fn small_shards() -> PrepareOptions {
    PrepareOptions { shard_tokens: 500, held_out_fraction: 0.2, seed: 1 }
}

/// A dataset of 100 documents in several shards, in a temporary folder.
pub(crate) fn dataset() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("input.jsonl");
    write_json_lines(&input, &documents(100));
    let folder = home.path().join("dataset");
    prepare(&input, &folder, small_shards()).unwrap();
    (home, folder)
}

/// The dataset of [`dataset`], opened.
pub(crate) fn opened_dataset() -> (TempDir, Arc<Dataset>) {
    let (home, folder) = dataset();
    (home, Arc::new(Dataset::open(&folder).unwrap()))
}

/// Names and contents of all files in a folder.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// The message of an error, with `HOME` instead of the temporary folder.
pub(crate) fn message(error: &DataError, home: &Path) -> String {
    error.to_string().replace(&home.display().to_string(), "HOME")
}
