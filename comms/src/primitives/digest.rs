//! BLAKE3 digests, which identify contents, and the ID of a run.

use std::fmt;
use std::str::FromStr;

use super::hex;

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hexadecimal digits")]
pub struct NotHex;

/// A BLAKE3 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes in their form on the wire.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, formatter)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

// In JSON as in messages, so a digest from a message can be searched for in a document.
hex::written_as_text!(Digest);
hex::written_as_text!(RunId);

impl FromStr for Digest {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        hex::parse_32(text).map(Self).ok_or(NotHex)
    }
}

/// The ID of a run: the digest of its description. A changed description is another run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Digest);

impl RunId {
    /// The run with a description, given as its bytes.
    pub fn of(description: &[u8]) -> Self {
        Self(Digest::of(description))
    }

    /// The run with a known ID.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest of the run's description.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for RunId {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_text_form() {
        let digest = Digest::of(b"covey");
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        // A second spelling would be a second key for the same object.
        assert_eq!(text.to_uppercase().parse::<Digest>(), Err(NotHex));
        assert_eq!(text[1..].parse::<Digest>(), Err(NotHex));
        assert_eq!(format!("{text}0").parse::<Digest>(), Err(NotHex));
    }
}
