//! The contents of a finished folder.

use std::fs;

use covey_data::dataset::{Dataset, Split};
use covey_data::error::DataError;
use covey_data::prepare::PrepareOptions;
use safetensors::SafeTensors;

use crate::fixture::{
    TOKENIZER, contents, dataset, documents, message, prepare, small_shards, write_json_lines,
};

/// All documents of a split, decoded.
fn texts(dataset: &Dataset, split: Split) -> Vec<String> {
    let mut texts = Vec::new();
    for (record, ends) in
        dataset.manifest().shards_of(split).zip(dataset.document_ends(split).unwrap())
    {
        let bytes = fs::read(dataset.folder().join(&record.file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tokens: Vec<u32> = tensors
            .tensor("tokens")
            .unwrap()
            .data()
            .chunks(2)
            .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))
            .collect();
        let mut start = 0;
        for end in ends {
            let document = &tokens[start..end as usize];
            assert_eq!(document.last(), Some(&0), "every document has an end of text");
            texts.push(TOKENIZER.decode(document).unwrap());
            start = end as usize;
        }
    }
    texts
}

#[test]
fn every_document_is_in_one_split() {
    let (_home, folder) = dataset();
    let dataset = Dataset::open(&folder).unwrap();
    let (train, held_out) = (texts(&dataset, Split::Train), texts(&dataset, Split::HeldOut));
    assert!(dataset.manifest().totals_of(Split::Train).shards > 2);
    assert!((5..40).contains(&held_out.len()));
    let mut all = [train, held_out].concat();
    let mut expected = documents(100);
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn totals_count_the_text() {
    let (_home, folder) = dataset();
    let manifest = Dataset::open(&folder).unwrap().manifest().clone();
    let totals = Split::ALL.map(|split| manifest.totals_of(split));
    assert_eq!(totals.iter().map(|total| total.documents).sum::<u64>(), 100);
    let bytes: usize = documents(100).iter().map(String::len).sum();
    assert_eq!(totals.iter().map(|total| total.text_bytes).sum::<u64>(), bytes as u64);
    assert!(manifest.shards.iter().all(|shard| shard.tokens < 500 + 100));
}

#[test]
fn a_single_document_gives_both_splits() {
    let home = tempfile::tempdir().unwrap();
    let (input, folder) = (home.path().join("book.txt"), home.path().join("out"));
    let text = "It was the whiteness of the whale. ".repeat(100);
    fs::write(&input, &text).unwrap();
    prepare(
        &input,
        &folder,
        PrepareOptions { held_out_fraction: 0.1, ..PrepareOptions::default() },
    )
    .unwrap();
    let dataset = Dataset::open(&folder).unwrap();
    let (train, held_out) = (texts(&dataset, Split::Train), texts(&dataset, Split::HeldOut));
    assert_eq!(train.concat() + &held_out.concat(), text);
    assert!((340..380).contains(&held_out.concat().len()));
}

#[test]
fn no_document_is_held_out_at_fraction_zero() {
    let home = tempfile::tempdir().unwrap();
    let (input, folder) = (home.path().join("in.jsonl"), home.path().join("out"));
    write_json_lines(&input, &documents(30));
    prepare(
        &input,
        &folder,
        PrepareOptions { held_out_fraction: 0.0, ..PrepareOptions::default() },
    )
    .unwrap();
    let dataset = Dataset::open(&folder).unwrap();
    assert_eq!(texts(&dataset, Split::Train), documents(30));
    let error = dataset.windows(Split::HeldOut, 8).unwrap_err();
    assert!(matches!(error, DataError::SequenceTooLong { longest: 0, .. }));
}

#[test]
fn the_folder_contains_only_shards_manifest_and_tokenizer() {
    let (_home, folder) = dataset();
    let names: Vec<String> = contents(&folder).into_iter().map(|(name, _)| name).collect();
    let shards = Dataset::open(&folder).unwrap().manifest().shards.len();
    let expected =
        ["manifest.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
    assert!(expected.iter().all(|name| names.contains(&name.to_string())));
    assert_eq!(names.len(), shards + expected.len());
}

#[test]
fn a_finished_folder_is_not_written_again_and_other_inputs_are_refused() {
    let (home, folder) = dataset();
    let input = home.path().join("input.jsonl");
    assert!(!prepare(&input, &folder, small_shards()).unwrap().written);
    let before = contents(&folder);
    let other = PrepareOptions { seed: 2, ..small_shards() };
    let error = prepare(&input, &folder, other).unwrap_err();
    let expected =
        "HOME/dataset already holds another dataset (made from other inputs or with other options)";
    assert_eq!(message(&error, home.path()), expected);
    write_json_lines(&input, &documents(99));
    assert!(matches!(prepare(&input, &folder, small_shards()), Err(DataError::FolderTaken { .. })));
    assert_eq!(contents(&folder), before);
}

#[test]
fn empty_inputs_are_refused_and_leave_no_folder() {
    let home = tempfile::tempdir().unwrap();
    let (input, folder) = (home.path().join("in"), home.path().join("out"));
    fs::create_dir(&input).unwrap();
    fs::write(input.join("a.txt"), " \n ").unwrap();
    fs::write(input.join("a.pdf"), "text").unwrap();
    let error = prepare(&input, &folder, small_shards()).unwrap_err();
    assert_eq!(error.to_string(), "no text in 1 input files (1 others skipped)");
    assert!(!folder.exists());
}

#[test]
fn impossible_settings_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("a.txt");
    fs::write(&input, "text").unwrap();
    for options in [
        PrepareOptions { held_out_fraction: 0.6, ..small_shards() },
        PrepareOptions { held_out_fraction: f64::NAN, ..small_shards() },
        PrepareOptions { shard_tokens: 0, ..small_shards() },
    ] {
        assert!(matches!(prepare(&input, home.path(), options), Err(DataError::Setting { .. })));
    }
}

#[test]
fn a_file_at_the_path_of_the_folder_is_named() {
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("a.txt");
    fs::write(&input, "text").unwrap();
    let error = prepare(&input, &input, small_shards()).unwrap_err();
    assert_eq!(message(&error, home.path()), "cannot write HOME/a.txt");
}
