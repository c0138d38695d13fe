//! Key pairs of peers, derived instead of kept: the server needs one secret and no table.

use std::collections::BTreeSet;

use async_trait::async_trait;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::bucket::location::Secret;
use crate::primitives::{Digest, PeerId};

/// Begins the access key id of every peer; the peer's name follows.
const PEER: &str = "covey-";

/// What the secrets of peers are for; part of them, so that they are good for nothing else.
const CONTEXT: &str = "covey 2026-11-22 secret access keys of peers";

/// The key pair of a peer at the server that has `master`: its access key id, `covey-` and its name, and its secret.
///
/// The same always, so the operator may hand it out as often as asked. Nobody can tell `master`, or the secret of another
/// peer, from it.
pub fn peer_credentials(master: &Secret, peer: PeerId) -> (String, Secret) {
    // The peer's part has one length, so no two pairs of master and peer meet.
    let material = [master.reveal().as_bytes(), peer.as_bytes()].concat();
    let secret = Digest::from_bytes(blake3::derive_key(CONTEXT, &material));
    (format!("{PEER}{peer}"), Secret::new(secret.to_string()))
}

/// The peer whose access key id this is, if it is a peer's.
pub(crate) fn peer_named(access_key: &str) -> Option<PeerId> {
    access_key.strip_prefix(PEER)?.parse().ok()
}

/// Everybody's secrets.
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
        let peer = peer_named(access_key)?;
        let is_let_in = self.peers.as_ref().is_none_or(|peers| peers.contains(&peer));
        is_let_in.then(|| peer_credentials(&self.master, peer).1)
    }
}

#[async_trait]
impl S3Auth for Keyring {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self
            .secret(access_key)
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "nobody has this key"))?;
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
    fn every_peer_of_every_master_has_its_own_pair() {
        let (one, other) = (Secret::new("one master"), Secret::new("other master"));
        let pairs = [(&one, 1), (&one, 2), (&other, 1)]
            .map(|(master, byte)| peer_credentials(master, peer(byte)));
        assert_eq!(peer_credentials(&one, peer(1)), pairs[0]);
        assert_ne!(pairs[0].1, pairs[1].1);
        assert_ne!(pairs[0].1, pairs[2].1);
        assert_eq!(pairs[0].0, pairs[2].0);
        assert_eq!(peer_named(&pairs[1].0), Some(peer(2)));
    }

    #[test]
    fn only_those_on_the_list_are_let_in() {
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
