//! English prose that is part of the program, for `covey demo` and for tests without a download.
//!
//! All texts are in the public domain; `corpus/README.md` gives their origin and licence.

use serde::Deserialize;

/// A zstd file of the corpus: one JSON object with `text` and `title` on each line.
#[derive(Debug, Clone, Copy)]
pub struct CorpusFile {
    /// File name with an extension that [`crate::prepare`] knows.
    pub name: &'static str,
    /// The contents.
    pub bytes: &'static [u8],
}

/// State of the Union addresses from 1790 to 2021, in order of year.
pub const STATE_OF_THE_UNION: CorpusFile = CorpusFile {
    name: "state-of-the-union.jsonl.zst",
    bytes: include_bytes!("../../corpus/state-of-the-union.jsonl.zst"),
};

/// The chapters of Moby Dick, in order of the book.
pub const MOBY_DICK: CorpusFile = CorpusFile {
    name: "moby-dick.jsonl.zst",
    bytes: include_bytes!("../../corpus/moby-dick.jsonl.zst"),
};

/// Every file of the corpus.
pub const FILES: [CorpusFile; 2] = [STATE_OF_THE_UNION, MOBY_DICK];

/// One speech or one chapter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CorpusDocument {
    /// Speaker and year, or the heading of the chapter.
    pub title: String,
    /// The text.
    pub text: String,
}

/// Every document of the corpus, speeches first.
pub fn documents() -> impl Iterator<Item = CorpusDocument> {
    FILES.iter().flat_map(|file| {
        // About 12 MB in all, so there is no need to decompress piece by piece.
        let text =
            zstd::decode_all(file.bytes).expect("the embedded files are tested to decompress");
        serde_json::Deserializer::from_slice(&text)
            .into_iter()
            .map(|document| document.expect("the embedded files are tested to parse"))
            .collect::<Vec<CorpusDocument>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_present_in_order() {
        let documents: Vec<_> = documents().collect();
        assert_eq!(documents.len(), 233 + 138);
        assert_eq!(documents[0].title, "George Washington, 1790");
        assert_eq!(documents[235].title, "CHAPTER 1. Loomings.");
        assert!(documents[235].text.contains("Call me Ishmael."));
        assert!(documents.iter().all(|document| document.text.len() > 100));
    }

    #[test]
    fn the_binary_grows_by_less_than_six_megabytes() {
        assert!(FILES.iter().map(|file| file.bytes.len()).sum::<usize>() < 6_000_000);
    }
}
