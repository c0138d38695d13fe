//! The printable characters that represent bytes in byte-level BPE.
//!
//! GPT-2 (Radford et al. 2019) gives every byte a visible character, which makes a vocabulary
//! valid JSON text. Printable Latin-1 characters represent themselves. The other 68 bytes become
//! the characters from U+0100 on, in order.

/// The character of a byte.
pub(super) fn character(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&other| !is_printable(other)).count() as u32;
    char::from_u32(0x100 + rank).expect("68 characters from U+0100 on are all valid")
}

/// The byte of a character, or `None` if the character represents no byte.
pub(super) fn byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| is_printable(byte)),
        code @ 0x100..=0x143 => {
            (0..=u8::MAX).filter(|&byte| !is_printable(byte)).nth(code as usize - 0x100)
        }
        _ => None,
    }
}

/// Returns true for the bytes that represent themselves.
fn is_printable(byte: u8) -> bool {
    // 0xad is missing: it is the soft hyphen, which is normally invisible.
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_round_trips() {
        assert!((0..=u8::MAX).all(|value| byte(character(value)) == Some(value)));
        assert_eq!(
            (character(b' '), character(b'\n'), byte('中'), byte(' ')),
            ('Ġ', 'Ċ', None, None)
        );
    }
}
