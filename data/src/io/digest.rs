//! BLAKE3 digests of file contents.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The BLAKE3 digest of a file or of bytes, written as 64 hexadecimal digits everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of a file, read in pieces of 1 MiB.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        // BLAKE3 uses the widest SIMD instructions only on inputs of many chunks of 1 KiB.
        let mut buffer = vec![0; 1 << 20];
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Self(*hasher.finalize().as_bytes())),
                count => hasher.update(&buffer[..count]),
            };
        }
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digits, because they are what a reader of a failed assertion compares.
        fmt::Display::fmt(self, formatter)
    }
}

impl From<blake3::Hash> for FileDigest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<FileDigest> for String {
    fn from(digest: FileDigest) -> Self {
        digest.to_string()
    }
}

impl FromStr for FileDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash = blake3::Hash::from_hex(text)
            .map_err(|error| format!("`{text}` is not a digest: {error}"))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl TryFrom<String> for FileDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let digest = FileDigest::of(b"covey");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("xyz".parse::<FileDigest>().is_err());
    }
}
