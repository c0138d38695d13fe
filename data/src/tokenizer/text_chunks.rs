//! Long texts in chunks that are tokenised independently.
//!
//! The library needs about 40 bytes of memory for each byte of a text that it encodes, and it works
//! on one core. Chunks bound the memory and can be encoded on all cores.

/// Most bytes of a chunk: about 10 MB of memory on each core.
const CHUNK_BYTES: usize = 1 << 18;

/// Bytes at the end of a chunk that are searched for a word boundary.
const SEARCHED_BYTES: usize = 1 << 12;

/// Cuts a text into chunks that encode to the tokens of the whole text.
///
/// Cuts are before a single white space between two words, where byte-level BPE also separates
/// words. A text without such a place in 4 KiB is cut between any two characters, and the tokens
/// next to that cut can differ.
pub(super) fn chunks(text: &str) -> TextChunks<'_> {
    TextChunks { rest: text }
}

/// The chunks of one text, in order.
pub(super) struct TextChunks<'a> {
    rest: &'a str,
}

impl<'a> Iterator for TextChunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (chunk, rest) = self.rest.split_at(cut(self.rest, CHUNK_BYTES));
        self.rest = rest;
        Some(chunk)
    }
}

fn cut(text: &str, limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let end = text.floor_char_boundary(limit);
    let start = end.saturating_sub(SEARCHED_BYTES);
    // From 1, because a cut at 0 would give an empty chunk and no progress.
    (start.max(1)..end).rev().find(|&place| is_word_boundary(text.as_bytes(), place)).unwrap_or(end)
}

/// Returns true for a single ASCII white space between two ASCII letters: the patterns of GPT-2 and
/// its successors all separate words there.
fn is_word_boundary(bytes: &[u8], place: usize) -> bool {
    matches!(bytes.get(place - 1..place + 2), Some([before, b' ' | b'\n', after])
        if before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_concatenate_to_the_text() {
        for text in
            ["", "short", &"word ".repeat(200_000), &"é".repeat(300_001), &"x  y".repeat(150_000)]
        {
            assert_eq!(chunks(text).collect::<String>(), text);
            assert!(chunks(text).all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK_BYTES));
        }
    }

    #[test]
    fn words_stay_whole() {
        let text = "many words ".repeat(50_000);
        assert!(chunks(&text).skip(1).all(|chunk| chunk.starts_with(' ')));
    }
}
