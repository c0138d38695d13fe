//! The public identity of a peer, and the signatures that it can verify.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

use super::digest::NotHex;
use super::hex;

/// The identity of a peer: its ed25519 public key, written as 64 lower-case hexadecimal digits.
///
/// Any 32 bytes are accepted. Bytes that are not a valid key are harmless, because no signature
/// verifies under them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The peer with a public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key in its form on the wire.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight digits, for messages to users; comparisons use the whole key.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }

    /// Returns true if this peer signed `message` for `domain`.
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        // Strict verification refuses malleable signatures, which would give one message two valid
        // encodings, and keys of small order, under which one signature fits several messages.
        key.verify_strict(&domain.separate(message), &DalekSignature::from_bytes(&signature.0))
            .is_ok()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, formatter)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Short, because failed tests and traces print lists of peers.
        formatter.write_str(&self.short())
    }
}

hex::written_as_text!(PeerId);

impl FromStr for PeerId {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        hex::parse_32(text).map(Self).ok_or(NotHex)
    }
}

/// The purpose of a signature. A signature for one purpose is invalid for every other.
///
/// The signed bytes are the name of the domain, a zero byte, and the message. Names contain no zero
/// byte, so two different pairs of domain and message never give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Domain {
    /// The header of an [envelope](crate::objects::envelope::Envelope).
    Envelope,
    /// An entry of the ledger.
    Ledger,
    /// A manifest that a validator accepts.
    Vote,
}

impl Domain {
    /// The signed name. Its number changes with the meaning of the message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "covey envelope 1",
            Self::Ledger => "covey ledger 1",
            Self::Vote => "covey vote 1",
        }
    }

    /// The bytes to sign for a message.
    pub(super) fn separate(self, message: &[u8]) -> Vec<u8> {
        [self.name().as_bytes(), &[0], message].concat()
    }
}

/// An ed25519 signature, 64 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A received signature; it proves nothing until [`PeerId::verify`] accepts it.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes in their form on the wire.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_chunks().0.iter().try_for_each(|half| hex::write(half, formatter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::Keypair;

    #[test]
    fn a_signature_is_valid_for_its_message_domain_and_peer_only() {
        let [ours, theirs] = [1, 2].map(|byte| Keypair::from_secret(&[byte; 32]));
        let signature = ours.sign(Domain::Envelope, b"message");
        assert!(ours.peer().verify(Domain::Envelope, b"message", &signature));
        assert!(!ours.peer().verify(Domain::Envelope, b"massage", &signature));
        assert!(!ours.peer().verify(Domain::Ledger, b"message", &signature));
        assert!(!theirs.peer().verify(Domain::Envelope, b"message", &signature));
    }

    #[test]
    fn bytes_that_are_not_a_key_verify_no_signature() {
        let signature = Keypair::from_secret(&[1; 32]).sign(Domain::Envelope, b"");
        for byte in [0, 1, 2, 255] {
            assert!(!PeerId::from_bytes([byte; 32]).verify(Domain::Envelope, b"", &signature));
        }
    }
}
