//! A limit on the chunks of a signed body.
//!
//! A body that is sent as `aws-chunked` consists of chunks, each `SIZE;chunk-signature=...\r\n`,
//! `SIZE` bytes in hexadecimal, `\r\n`. `s3s` holds a chunk in memory until it has checked the
//! signature, and takes any size below 4 GiB. This scanner reads along and stops the body at the
//! header of a larger chunk.

/// The largest chunk in bytes. Clients send 64 KiB to 1 MiB.
const MAX_CHUNK: u64 = 16 * 1024 * 1024;

/// The most hexadecimal digits of a size, as `s3s` reads them. It ignores further ones, so they are
/// refused here: otherwise the two would see chunks in different places.
const MAX_DIGITS: u32 = 8;

/// The reason why a body is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("a chunk has {size} bytes, limit is {MAX_CHUNK}")]
    TooLarge { size: u64 },
    #[error("the size of a chunk is malformed")]
    Malformed,
}

/// The position of a body within the framing of its chunks.
#[derive(Debug)]
pub(super) enum ChunkScanner {
    /// In the digits of a size.
    Size { size: u64, digits: u32 },
    /// In the rest of a header, up to the line break.
    Header { size: u64 },
    /// In the bytes of a chunk or the line break after them.
    Content { left: u64 },
    /// After the empty chunk. `s3s` limits the headers that follow.
    Trailer,
}

impl Default for ChunkScanner {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl ChunkScanner {
    /// Reads the next bytes of the body.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> Result<(), ChunkError> {
        while let [first, rest @ ..] = bytes {
            bytes = rest;
            match self {
                Self::Size { size, digits } => *self = next_digit(*size, *digits, *first)?,
                Self::Header { .. } if *first != b'\n' => {}
                Self::Header { size: 0 } => *self = Self::Trailer,
                // Two more for the line break after the content.
                Self::Header { size } => *self = Self::Content { left: *size + 2 },
                Self::Content { left } => {
                    let skipped = (*left - 1).min(rest.len() as u64);
                    bytes = rest.get(skipped as usize..).unwrap_or_default();
                    *left -= 1 + skipped;
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
                Self::Trailer => return Ok(()),
            }
        }
        Ok(())
    }
}

fn next_digit(size: u64, digits: u32, byte: u8) -> Result<ChunkScanner, ChunkError> {
    match char::from(byte).to_digit(16) {
        Some(_) if digits == MAX_DIGITS => Err(ChunkError::Malformed),
        Some(digit) => {
            Ok(ChunkScanner::Size { size: 16 * size + u64::from(digit), digits: digits + 1 })
        }
        None if digits == 0 || !b";\r".contains(&byte) => Err(ChunkError::Malformed),
        None if size > MAX_CHUNK => Err(ChunkError::TooLarge { size }),
        None => Ok(ChunkScanner::Header { size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans a body in pieces of each length.
    fn scan(body: &[u8]) -> Result<(), ChunkError> {
        let outcomes: Vec<_> = (1..=body.len())
            .map(|length| {
                let mut scanner = ChunkScanner::default();
                body.chunks(length).try_for_each(|piece| scanner.scan(piece))
            })
            .collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
        outcomes[0]
    }

    #[test]
    fn chunks_within_the_limit_pass() {
        for body in [
            &b"3;chunk-signature=ab\r\nxyz\r\n0;chunk-signature=cd\r\n\r\n"[..],
            b"a\r\n0123456789\r\n2\r\n\r\n\r\n0\r\nx-amz-checksum-crc32:abc\r\nffffffff\r\n",
            b"01000000\r\nthe beginning",
            b"0\r\n",
        ] {
            assert_eq!(scan(body), Ok(()), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn larger_chunks_stop_the_body_at_their_header() {
        for (body, size) in [
            (&b"1000001\r\n"[..], 0x100_0001),
            (b"FFFFFFFF;chunk-signature=ab\r\n", 0xffff_ffff),
            (b"3\r\nxyz\r\n2000000\r\n", 0x200_0000),
        ] {
            assert_eq!(scan(body), Err(ChunkError::TooLarge { size }));
        }
    }

    #[test]
    fn sizes_that_could_be_read_in_two_ways_are_refused() {
        for body in
            [&b"000000001\r\n"[..], b"1g\r\n", b";\r\n", b"-1\r\n", b"1\n", b"3\r\nxyz\r\n\r\n"]
        {
            assert_eq!(scan(body), Err(ChunkError::Malformed), "{}", String::from_utf8_lossy(body));
        }
    }
}
