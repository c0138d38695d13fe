//! Shared fixtures: text, tokenizers, prepared text, a trained model. Created once and kept in
//! memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::sandbox::{Sandbox, training};

/// Files by path.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All fixtures:
///
/// - `texts`: 30 short documents,
/// - `tokenizer`: 300 tokens learned from them, and `data`: the documents as shards,
/// - `other-tokenizer`: 280 tokens, and `other-data`: the same documents with it,
/// - `trained`: a run of 40 steps with checkpoints at 20, 30 and 40, and `hub`: its export.
pub(crate) fn fixtures() -> &'static Files {
    static MATERIALS: OnceLock<Files> = OnceLock::new();
    MATERIALS.get_or_init(make)
}

fn make() -> Files {
    let sandbox = Sandbox::empty();
    for document in 0..30 {
        sandbox.write(format!("texts/{document:02}.txt"), text(document));
    }
    for (tokenizer, vocab_size, data) in
        [("tokenizer", "300", "data"), ("other-tokenizer", "280", "other-data")]
    {
        let file = format!("{tokenizer}/tokenizer.json");
        sandbox.succeed(&[
            "tokenizer",
            "train",
            "texts",
            "--vocab-size",
            vocab_size,
            "--output",
            &file,
        ]);
        sandbox.succeed(&[
            "prepare",
            "texts",
            "--tokenizer",
            &file,
            "--output",
            data,
            "--held-out=0.1",
        ]);
    }
    sandbox.succeed(&training(&["--steps=40", "--output=trained", "--set=checkpoint.every=10"]));
    sandbox.succeed(&["export", "trained", "--output=hub"]);
    files_below(&sandbox.path(""))
}

/// The words of one sentence, repeated in an order that depends on the document number.
fn text(document: usize) -> String {
    let words = [
        "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "near", "this", "old",
        "river",
    ];
    let step = 1 + document % (words.len() - 1);
    let text: Vec<&str> =
        (0..120).map(|place| words[(document + place * step) % words.len()]).collect();
    text.join(" ") + ".\n"
}

/// Every file below `folder` with its contents, by relative path.
pub(crate) fn files_below(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(
                    path.strip_prefix(folder).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    files
}
