//! Reading text files of others with a limit on their length.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest `config.json` or index that is read, in bytes. The index of a model with 100,000
/// tensors has 10 MB; a file beyond the limit would only fill the memory.
pub(super) const MAX_JSON: u64 = 64 << 20;

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// Errors of the file system; [`io::ErrorKind::FileTooLarge`] for a longer file.
pub(super) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed: the length in the metadata may be that of a pipe or a device.
    let read = File::open(path)?.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if read as u64 > limit {
        let reason = format!("it has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_limit_is_an_error_and_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, "{}  ").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "{}  ");
        assert_eq!(read_text(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        #[cfg(unix)]
        assert!(read_text(Path::new("/dev/zero"), 1000).is_err());
    }
}
