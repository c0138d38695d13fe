//! The secret half of an identity: an ed25519 key pair that signs.
//!
//! No authority assigns identities. A peer is identified by its public key, and each object that it
//! publishes is signed with the secret key, which is stored in a file that only its owner can read.

use std::fmt;
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey};

use super::key_file::{self, IdentityError};
use super::peer_id::{Domain, PeerId, Signature};

/// The key pair of a peer or validator.
///
/// The secret half is wiped from memory on drop and printed as `[redacted]`.
#[derive(Clone)]
pub struct Keypair {
    key: SigningKey,
}

impl Keypair {
    /// The key pair of a secret. The 32 bytes must come from a secure random generator.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// Writes a new key to a file that only its owner can read; never replaces an existing file.
    ///
    /// After a crash the file is complete or absent.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] if the file exists, [`IdentityError::Write`] if a write fails.
    pub fn create(path: &Path, secret: &[u8; 32]) -> Result<Self, IdentityError> {
        key_file::write_new(path, secret)?;
        Ok(Self::from_secret(secret))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`IdentityError::Missing`], [`IdentityError::Exposed`] if other users can read it,
    /// [`IdentityError::Malformed`] or [`IdentityError::Read`].
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        key_file::read(path).map(|secret| Self::from_secret(&secret))
    }

    /// Reads the key file at `path`, or creates it from `secret` if it is missing.
    ///
    /// # Errors
    /// Those of [`Keypair::load`] and [`Keypair::create`].
    pub fn load_or_create(path: &Path, secret: &[u8; 32]) -> Result<Self, IdentityError> {
        match Self::load(path) {
            Err(IdentityError::Missing { .. }) => match Self::create(path, secret) {
                // Another process was faster. Two keys would be two peers, so its key is used.
                Err(IdentityError::Exists { .. }) => Self::load(path),
                outcome => outcome,
            },
            outcome => outcome,
        }
    }

    /// The public half, which identifies the peer.
    pub fn peer(&self) -> PeerId {
        PeerId::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// 32 bytes for a message that only the holder of this key can compute.
    ///
    /// They are equal for equal messages; `context` separates the purposes.
    pub(crate) fn derive(&self, context: &str, message: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(self.key.as_bytes()).update(message);
        hasher.finalize().into()
    }

    /// Signs `message` for one purpose. Ed25519 is deterministic: equal messages have equal
    /// signatures.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature::from_bytes(self.key.sign(&domain.separate(message)).to_bytes())
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written out, because a derived implementation would print the secret into logs.
        formatter
            .debug_struct("Keypair")
            .field("peer", &self.peer())
            .field("secret", &"[redacted]")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::hex;

    #[test]
    fn the_key_pair_of_rfc_8032_has_its_published_public_key() {
        // RFC 8032, section 7.1, test 1.
        let secret =
            hex::parse_32("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
                .unwrap();
        let name = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Keypair::from_secret(&secret).peer().to_string(), name);
        assert_eq!(name.parse::<PeerId>().unwrap().short(), "d75a9801");
    }

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", Keypair::from_secret(&[0xab; 32]));
        assert!(printed.contains("[redacted]"), "{printed}");
        assert!(!printed.contains("abab"), "{printed}");
    }
}
