//! Lower-case hexadecimal digits, the only text form of keys and digests.
//!
//! Equal values must have equal texts, because the texts are parts of object keys.

use std::fmt;

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// Writes 32 bytes as two lower-case digits each.
pub(crate) fn write(bytes: &[u8; 32], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    // By table and in one piece, because keys are formatted for every request: `{:02x}` for each
    // byte would call the formatter 32 times.
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    formatter.write_str(str::from_utf8(&text).expect("all digits are ASCII"))
}

/// Implements serde for a type by its text form.
macro_rules! written_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use written_as_text;

/// Parses exactly 64 lower-case digits.
pub(crate) fn parse_32(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        // Upper case is refused: it would be a second text of the same value.
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}
