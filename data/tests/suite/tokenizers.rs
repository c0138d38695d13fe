//! Training, encoding, decoding, saving.

use std::fs;

use covey_data::error::DataError;
use covey_data::prepare::builtin_corpus;
use covey_data::tokenizer::Tokenizer;
use proptest::prelude::*;

use crate::fixture::TOKENIZER;

fn chapters() -> Vec<String> {
    builtin_corpus::documents().skip(233).take(20).map(|document| document.text).collect()
}

fn train(documents: Vec<String>, vocab_size: usize) -> Tokenizer {
    Tokenizer::train(documents.into_iter().map(Ok), vocab_size).unwrap()
}

proptest! {
    #[test]
    fn any_text_round_trips(text in "\\PC*|[a-z \n\t]*") {
        let tokens = TOKENIZER.encode(&text).unwrap();
        prop_assert_eq!(TOKENIZER.decode(&tokens).unwrap(), text);
    }

    #[test]
    fn a_stream_gives_the_decoded_text(tokens in prop::collection::vec(0u32..400, 0..40)) {
        let mut stream = TOKENIZER.decode_stream();
        let mut text = String::new();
        for token in &tokens {
            text.push_str(&stream.push(*token).unwrap());
        }
        text.push_str(&stream.finish().unwrap());
        prop_assert_eq!(text, TOKENIZER.decode(&tokens).unwrap());
    }

    #[test]
    fn byte_lengths_add_up_to_the_text(text in "\\PC*") {
        let lengths = TOKENIZER.byte_lengths();
        let tokens = TOKENIZER.encode(&text).unwrap();
        let bytes: u32 = tokens.iter().map(|token| lengths[*token as usize]).sum();
        prop_assert_eq!(bytes as usize, text.len());
    }
}

#[test]
fn the_vocabulary_depends_on_the_text_alone() {
    let forward = train(chapters(), 2000);
    let backward = train(chapters().into_iter().rev().collect(), 2000);
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap()
        .install(|| train(chapters(), 2000));
    assert_eq!(forward.json(), backward.json());
    assert_eq!(forward.digest(), single.digest());
    assert_eq!(forward.vocab_size(), 2000);
}

#[test]
fn training_compresses() {
    let tokenizer = train(chapters(), 2000);
    let text = chapters().concat();
    let tokens = tokenizer.encode(&text).unwrap();
    assert!(text.len() as f64 / tokens.len() as f64 > 3.0);
}

#[test]
fn streams_emit_whole_characters_as_soon_as_complete() {
    let mut stream = TOKENIZER.decode_stream();
    let parts: Vec<String> =
        "é🐋".bytes().map(|byte| stream.push(u32::from(byte) + 1).unwrap()).collect();
    assert_eq!(parts, ["", "é", "", "", "", "🐋"]);
}

#[test]
fn bytes_have_fixed_tokens_and_the_end_of_text_is_zero() {
    assert_eq!(TOKENIZER.end_of_text(), Some(0));
    assert_eq!(TOKENIZER.byte_lengths()[0], 0);
    assert_eq!(TOKENIZER.encode("\u{1}").unwrap(), [2]);
}

#[test]
fn text_never_becomes_a_special_token() {
    let tokens = TOKENIZER.encode("a<|endoftext|>b").unwrap();
    assert!(!tokens.contains(&0));
    assert_eq!(TOKENIZER.decode(&tokens).unwrap(), "a<|endoftext|>b");
}

#[test]
fn long_texts_have_the_tokens_of_their_words() {
    let text = "call me ishmael some years ago ".repeat(30_000);
    let once = TOKENIZER.encode("call me ishmael some years ago").unwrap();
    let again = TOKENIZER.encode(" call me ishmael some years ago").unwrap();
    let end = TOKENIZER.encode(" ").unwrap();
    assert_eq!(TOKENIZER.encode(&text).unwrap(), [once, again.repeat(29_999), end].concat());
}

#[test]
fn a_batch_has_the_tokens_of_its_texts() {
    let texts = ["one", "", "two words"];
    let batch = TOKENIZER.encode_batch(&texts).unwrap();
    assert_eq!(batch, texts.map(|text| TOKENIZER.encode(text).unwrap()));
}

#[test]
fn saving_and_loading_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    TOKENIZER.save(folder.path()).unwrap();
    let loaded = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(loaded.digest(), TOKENIZER.digest());
    assert_eq!(loaded.encode("some text").unwrap(), TOKENIZER.encode("some text").unwrap());
    let again = tempfile::tempdir().unwrap();
    loaded.save(again.path()).unwrap();
    assert_eq!(crate::fixture::contents(folder.path()), crate::fixture::contents(again.path()));
}

#[test]
fn the_configuration_names_the_end_of_text() {
    let folder = tempfile::tempdir().unwrap();
    TOKENIZER.save(folder.path()).unwrap();
    let config = folder.path().join("tokenizer_config.json");
    fs::write(config, r#"{"eos_token": {"content": "A"}}"#).unwrap();
    let loaded = Tokenizer::load(&folder.path().join("tokenizer.json")).unwrap();
    assert_eq!(loaded.end_of_text(), loaded.token_id("A"));
}

#[test]
fn a_small_corpus_gives_a_small_vocabulary() {
    assert_eq!(train(vec!["aaaa".into(), "b".into()], 1000).vocab_size(), 258);
    assert_eq!(train(vec![], 257).vocab_size(), 257);
}

#[test]
fn unusable_tokenizers_are_refused() {
    let small = Tokenizer::train(std::iter::empty(), 256).unwrap_err();
    assert_eq!(small.to_string(), "vocabulary size is 256, must be at least 257");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Tokenizer::load(folder.path()), Err(DataError::NotFound { .. })));
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(matches!(Tokenizer::load(folder.path()), Err(DataError::TokenizerFile { .. })));
}
