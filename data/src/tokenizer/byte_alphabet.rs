//! The printable characters that stand for bytes in byte-level BPE.
//!
//! GPT-2 gave every byte a visible character, so that a vocabulary can be JSON text: printable Latin-1 characters
//! stand for themselves, the other 68 bytes for the characters from U+0100 on, in order.

/// The character that stands for a byte.
pub(super) fn character(byte: u8) -> char {
    match stands_for_itself(byte) {
        true => char::from(byte),
        false => {
            let rank = (0..byte).filter(|&other| !stands_for_itself(other)).count() as u32;
            char::from_u32(0x100 + rank).expect("68 characters from U+0100 on are all valid")
        }
    }
}

/// The byte that a character stands for, if it stands for one.
pub(super) fn byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| stands_for_itself(byte)),
        code @ 0x100..=0x143 => {
            (0..=u8::MAX).filter(|&byte| !stands_for_itself(byte)).nth(code as usize - 0x100)
        }
        _ => None,
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        assert!((0..=u8::MAX).all(|value| byte(character(value)) == Some(value)));
        assert_eq!(
            (character(b' '), character(b'\n'), byte('中'), byte(' ')),
            ('Ġ', 'Ċ', None, None)
        );
    }
}
