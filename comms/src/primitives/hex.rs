//! Lower-case hexadecimal: the one text form of keys and digests, so that equal values have equal names.

use std::fmt;

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// Writes 32 bytes as two lower-case digits each.
///
/// In one piece and without the formatter's own machinery: keys are formatted for every request.
pub(crate) fn write(bytes: &[u8; 32], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    formatter.write_str(str::from_utf8(&text).expect("all digits are ASCII"))
}

/// Gives a type that is written as text the same form in JSON.
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

/// Reads exactly 64 lower-case digits; upper case is refused, because it would be a second name of the same value.
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
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}
