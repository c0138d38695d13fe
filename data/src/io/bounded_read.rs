//! Reads that stop at a limit.
//!
//! Input files come from other people. A file without line ends, or a few kilobytes of zstd that
//! expand to terabytes, would fill the memory of the machine if a reader collected all of it.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// The outcome of a read with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoundedRead {
    /// Everything was read: this many bytes, with the line end if there is one.
    Complete(u64),
    /// There is more than the limit allows; the reader now stands inside of it.
    OverLimit,
}

/// Appends the next line with its line end to `line`; `Complete(0)` at the end of the input.
///
/// The limit applies to the line without its line end. At most one byte more is taken from the
/// reader, so memory stays below about twice the limit.
pub(crate) fn read_line(
    reader: &mut impl BufRead,
    limit: u64,
    line: &mut Vec<u8>,
) -> io::Result<BoundedRead> {
    // One byte more than the limit, for the line end.
    let count = reader.take(limit.saturating_add(1)).read_until(b'\n', line)? as u64;
    let is_over = count > limit && line.last() != Some(&b'\n');
    Ok(if is_over { BoundedRead::OverLimit } else { BoundedRead::Complete(count) })
}

/// Appends the rest of the input to `bytes`.
pub(crate) fn read_to_end(
    reader: &mut impl Read,
    limit: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<BoundedRead> {
    // One byte more than the limit distinguishes an input of exactly that length from a longer one.
    let count = reader.take(limit.saturating_add(1)).read_to_end(bytes)? as u64;
    Ok(if count > limit { BoundedRead::OverLimit } else { BoundedRead::Complete(count) })
}

/// The longest JSON file that is read whole: manifests, tokenizers and states. The largest
/// tokenizers in use have 40 MB.
pub(crate) const MAX_JSON: u64 = 1 << 30;

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// Errors of the file system; [`io::ErrorKind::FileTooLarge`] for a longer file.
pub(crate) fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match read_to_end(&mut File::open(path)?, limit, &mut bytes)? {
        BoundedRead::Complete(_) => Ok(bytes),
        BoundedRead::OverLimit => {
            let reason = format!("it has more than {limit} bytes");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All outcomes up to the end of the input or the first line over the limit.
    fn lines(mut input: &[u8], limit: u64) -> Vec<BoundedRead> {
        let mut outcomes = Vec::new();
        loop {
            let outcome = read_line(&mut input, limit, &mut Vec::new()).unwrap();
            outcomes.push(outcome);
            if matches!(outcome, BoundedRead::Complete(0) | BoundedRead::OverLimit) {
                return outcomes;
            }
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_without_its_line_end() {
        use BoundedRead::{Complete, OverLimit};
        assert_eq!(lines(b"abc\nabc", 3), [Complete(4), Complete(3), Complete(0)]);
        assert_eq!(lines(b"abc\nabcd\n", 3), [Complete(4), OverLimit]);
        assert_eq!(lines(b"abcd", 3), [OverLimit]);
        assert_eq!(lines(b"\n\n", 0), [Complete(1), Complete(1), Complete(0)]);
    }

    #[test]
    fn an_endless_line_takes_no_more_than_the_limit() {
        let mut endless = io::BufReader::new(io::repeat(b'a'));
        let mut line = Vec::new();
        assert_eq!(read_line(&mut endless, 1000, &mut line).unwrap(), BoundedRead::OverLimit);
        assert_eq!(line.len(), 1001);
    }

    #[test]
    fn an_input_may_be_as_long_as_the_limit() {
        let read = |limit| read_to_end(&mut b"abcd".as_slice(), limit, &mut Vec::new()).unwrap();
        assert_eq!(read(3), BoundedRead::OverLimit);
        assert_eq!([4, 5].map(read), [BoundedRead::Complete(4); 2]);
        let mut endless = io::repeat(b'a');
        let outcome = read_to_end(&mut endless, 1000, &mut Vec::new()).unwrap();
        assert_eq!(outcome, BoundedRead::OverLimit);
    }

    #[test]
    fn a_file_over_the_limit_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(read_file(&path, 2).unwrap(), b"{}");
        assert_eq!(read_file(&path, 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
