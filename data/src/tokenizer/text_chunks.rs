//! Long texts in pieces that can be tokenised one by one.
//!
//! The library keeps about 40 bytes of bookkeeping for each byte of a text it encodes and works on one core; pieces
//! bound the former and spread over cores.

/// Bytes a piece has at most.
const PIECE_BYTES: usize = 1 << 18;

/// Bytes at the end of a piece that are searched for a word boundary.
const SEARCHED_BYTES: usize = 1 << 12;

/// Cuts a text before a single white space between two words, where byte-level BPE cuts as well, so that the tokens are
/// those of the whole. Only a text without such a place for four kilobytes is cut between any two characters.
pub(super) fn pieces(text: &str) -> TextChunks<'_> {
    TextChunks { rest: text }
}

/// The pieces of one text, in order.
pub(super) struct TextChunks<'a> {
    rest: &'a str,
}

impl<'a> Iterator for TextChunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(cut(self.rest, PIECE_BYTES));
        self.rest = rest;
        Some(piece)
    }
}

fn cut(text: &str, limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let end = text.floor_char_boundary(limit);
    let start = end.saturating_sub(SEARCHED_BYTES);
    (start.max(1)..end).rev().find(|&place| is_word_boundary(text.as_bytes(), place)).unwrap_or(end)
}

/// A single ASCII white space between two ASCII letters, the one place that every known pattern cuts.
fn is_word_boundary(bytes: &[u8], place: usize) -> bool {
    matches!(bytes.get(place - 1..place + 2), Some([before, b' ' | b'\n', after])
        if before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text() {
        for text in
            ["", "short", &"word ".repeat(200_000), &"é".repeat(300_001), &"x  y".repeat(150_000)]
        {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert!(pieces(text).all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
        }
    }

    #[test]
    fn words_stay_whole() {
        let text = "many words ".repeat(50_000);
        assert!(
            pieces(&text).skip(1).all(|piece| piece.starts_with(" ") || piece.starts_with("many"))
        );
        assert!(pieces(&text).skip(1).all(|piece| piece.starts_with(' ')));
    }
}
