//! Key pairs of peers, derived and not stored: the server needs one secret and no table.

use std::collections::BTreeSet;

use async_trait::async_trait;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::bucket::location::Secret;
use crate::primitives::{Digest, PeerId};

/// The beginning of the access key ID of a peer; the peer ID follows.
const PEER: &str = "covey-";

/// The context of the key derivation (BLAKE3, section 2.3), different for each use of a secret.
/// Never change it: all key pairs that peers hold would stop working.
const CONTEXT: &str = "covey 2026-11-22 secret access keys of peers";

/// Derives the key pair of a peer for the server with `master`: the access key ID (`covey-` and the
/// peer ID) and the secret.
///
/// The result is always the same, so the operator can print it again at any time. It reveals
/// neither `master` nor the secret of another peer.
pub fn peer_credentials(master: &Secret, peer: PeerId) -> (String, Secret) {
    // A peer ID has a fixed length, so no two pairs of master and peer give the same material.
    let material = [master.reveal().as_bytes(), peer.as_bytes()].concat();
    let secret = Digest::from_bytes(blake3::derive_key(CONTEXT, &material));
    (format!("{PEER}{peer}"), Secret::new(secret.to_string()))
}

/// The peer of an access key ID; `None` if it is not the ID of a peer.
pub(crate) fn peer_of(access_key: &str) -> Option<PeerId> {
    access_key.strip_prefix(PEER)?.parse().ok()
}

/// The secrets of all access keys.
pub(crate) struct Keyring {
    pub(in crate::bucket::server) admin: (String, Secret),
    pub(in crate::bucket::server) master: Secret,
    pub(in crate::bucket::server) peers: Option<BTreeSet<PeerId>>,
}

impl Keyring {
    fn secret(&self, access_key: &str) -> Option<Secret> {
        if access_key == self.admin.0 {
            return Some(self.admin.1.clone());
        }
        let peer = peer_of(access_key)?;
        let has_access = self.peers.as_ref().is_none_or(|peers| peers.contains(&peer));
        has_access.then(|| peer_credentials(&self.master, peer).1)
    }
}

#[async_trait]
impl S3Auth for Keyring {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self
            .secret(access_key)
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "this access key does not exist"))?;
        Ok(secret.reveal().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> PeerId {
        PeerId::from_bytes([byte; 32])
    }

    #[test]
    fn key_pairs_differ_by_peer_and_by_master() {
        let (one, other) = (Secret::new("one master"), Secret::new("other master"));
        let pairs = [(&one, 1), (&one, 2), (&other, 1)]
            .map(|(master, byte)| peer_credentials(master, peer(byte)));
        assert_eq!(peer_credentials(&one, peer(1)), pairs[0]);
        assert_ne!(pairs[0].1, pairs[1].1);
        assert_ne!(pairs[0].1, pairs[2].1);
        assert_eq!(pairs[0].0, pairs[2].0);
        assert_eq!(peer_of(&pairs[1].0), Some(peer(2)));
    }

    #[test]
    fn only_listed_peers_have_a_secret() {
        let admin = ("admin".to_owned(), Secret::new("all"));
        let listed =
            Keyring { admin, master: Secret::new("master"), peers: Some([peer(1)].into()) };
        assert!(listed.secret("admin").is_some());
        assert!(listed.secret(&format!("covey-{}", peer(1))).is_some());
        for outsider in
            [format!("covey-{}", peer(2)), "covey-".into(), "root".into(), String::new()]
        {
            assert!(listed.secret(&outsider).is_none(), "{outsider}");
        }
        let open = Keyring { peers: None, ..listed };
        assert!(open.secret(&format!("covey-{}", peer(2))).is_some());
    }
}
