//! Who a peer is: an ed25519 key pair, its public half the peer's name.
//!
//! Nobody hands out names here. Whoever holds the secret half of a key is the peer of that name, and everything that a
//! peer writes is signed with it. The secret half lives in one file that only its owner can read.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};

use super::digest::NotHex;
use super::key_file::IdentityError;
use super::{hex, key_file};

/// The name of a peer: its ed25519 public key, written as 64 lower-case hexadecimal digits.
///
/// Any 32 bytes make a name. A name that is no valid key is harmless: no signature verifies under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The peer of a public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key, as it stands on the wire.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight digits, for people; machines compare the whole.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }

    /// Whether this peer signed `message` for `domain`.
    ///
    /// Strict: malleable signatures and keys of small order, under which several messages share a signature, fail.
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
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

/// What a signature is for, so that one made for one purpose never passes for another.
///
/// Signed is the domain's name, a zero byte, and the message; names hold no zero byte, so no two pairs coincide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Domain {
    /// The header of an [envelope](crate::objects::envelope::Envelope).
    Envelope,
    /// An entry of the ledger.
    Ledger,
    /// A manifest that a validator agrees to.
    Vote,
}

impl Domain {
    /// The name that is signed; it changes with the meaning of what follows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "covey envelope 1",
            Self::Ledger => "covey ledger 1",
            Self::Vote => "covey vote 1",
        }
    }

    fn separate(self, message: &[u8]) -> Vec<u8> {
        [self.name().as_bytes(), &[0], message].concat()
    }
}

/// An ed25519 signature, 64 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature as it came; it says nothing until it is [verified](PeerId::verify).
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes as they stand on the wire.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_chunks().0.iter().try_for_each(|half| hex::write(half, formatter))
    }
}

/// The key pair of a peer, able to sign in its name.
///
/// The secret half is wiped from memory on drop and printed as `[redacted]`.
#[derive(Clone)]
pub struct Keypair {
    key: SigningKey,
}

impl Keypair {
    /// The identity of a secret; whoever calls brings 32 bytes that nobody can guess.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// Keeps a new identity in a file that only its owner can read; an existing file is never replaced.
    ///
    /// The file appears whole or not at all.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] if the file is there, [`IdentityError::Write`] if the system refuses.
    pub fn create(path: &Path, secret: &[u8; 32]) -> Result<Self, IdentityError> {
        key_file::write_new(path, secret)?;
        Ok(Self::from_secret(secret))
    }

    /// Reads an identity back.
    ///
    /// # Errors
    /// [`IdentityError::Missing`], [`IdentityError::Exposed`] if others may read it, [`IdentityError::Malformed`] or
    /// [`IdentityError::Read`].
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        key_file::read(path).map(|secret| Self::from_secret(&secret))
    }

    /// Reads the identity at `path`, or creates it there from `secret` if there is none.
    ///
    /// # Errors
    /// Those of [`Keypair::load`] and [`Keypair::create`].
    pub fn load_or_create(path: &Path, secret: &[u8; 32]) -> Result<Self, IdentityError> {
        match Self::load(path) {
            Err(IdentityError::Missing { .. }) => match Self::create(path, secret) {
                // Another process was faster; its key counts.
                Err(IdentityError::Exists { .. }) => Self::load(path),
                outcome => outcome,
            },
            outcome => outcome,
        }
    }

    /// The public name.
    pub fn peer(&self) -> PeerId {
        PeerId(self.key.verifying_key().to_bytes())
    }

    /// 32 bytes that only the holder of this key can compute, the same for the same message; `context` names what for.
    pub(crate) fn derive(&self, context: &str, message: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.key.as_bytes()).update(message);
        hasher.finalize().into()
    }

    /// Signs `message` for one purpose; the same message always gets the same signature.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.key.sign(&domain.separate(message)).to_bytes())
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("peer", &self.peer())
            .field("secret", &"[redacted]")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_domain_and_peer_only() {
        let [ours, theirs] = [1, 2].map(|byte| Keypair::from_secret(&[byte; 32]));
        let signature = ours.sign(Domain::Envelope, b"message");
        assert!(ours.peer().verify(Domain::Envelope, b"message", &signature));
        assert!(!ours.peer().verify(Domain::Envelope, b"massage", &signature));
        assert!(!ours.peer().verify(Domain::Ledger, b"message", &signature));
        assert!(!theirs.peer().verify(Domain::Envelope, b"message", &signature));
    }

    #[test]
    fn the_published_key_pair_of_rfc_8032_has_its_published_name() {
        // RFC 8032, section 7.1, test 1.
        let secret =
            hex::parse_32("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
                .unwrap();
        let name = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Keypair::from_secret(&secret).peer().to_string(), name);
        assert_eq!(name.parse::<PeerId>().unwrap().short(), "d75a9801");
    }

    #[test]
    fn names_that_are_no_keys_verify_nothing() {
        let signature = Keypair::from_secret(&[1; 32]).sign(Domain::Envelope, b"");
        for byte in [0, 1, 2, 255] {
            assert!(!PeerId::from_bytes([byte; 32]).verify(Domain::Envelope, b"", &signature));
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", Keypair::from_secret(&[0xab; 32]));
        assert!(printed.contains("[redacted]"), "{printed}");
        assert!(!printed.contains("abab"), "{printed}");
    }
}
