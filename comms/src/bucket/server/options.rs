//! What a server is told before it starts.

use std::collections::BTreeSet;

use super::error::ServerError;
use crate::bucket::location::Secret;
use crate::bucket::server::auth::peer_named;
use crate::primitives::PeerId;

/// Shorter secrets can be guessed from one signed request that somebody overheard.
const SHORTEST_SECRET: usize = 16;

/// One bucket, and who may do what with it.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The bucket's name: 3 to 63 lower-case letters, digits and hyphens.
    pub bucket: String,
    /// The key pair that reads, writes and removes everything: an access key id and its secret.
    pub admin: (String, Secret),
    /// What the secrets of peers are derived from, see [`peer_credentials`](crate::bucket::server::auth::peer_credentials).
    pub master: Secret,
    /// The peers who are let in; without a list, whoever was given a key pair.
    pub peers: Option<BTreeSet<PeerId>>,
    /// The peers who may also create manifests and checkpoints: the run's validators.
    pub validators: BTreeSet<PeerId>,
    /// Whether everything can be read without a key.
    pub public_read: bool,
    /// The most bytes that one object may have.
    pub max_object: u64,
}

impl ServerOptions {
    pub(super) fn check(&self) -> Result<(), ServerError> {
        check_bucket(&self.bucket)?;
        check_secret("the admin's secret", &self.admin.1)?;
        check_secret("the master secret", &self.master)?;
        if self.admin.0.is_empty() || self.admin.0.contains('/') {
            return Err(invalid("the admin's access key id", "must not be empty or hold a slash"));
        }
        if peer_named(&self.admin.0).is_some() {
            return Err(invalid("the admin's access key id", "must not be that of a peer"));
        }
        Ok(())
    }
}

fn check_bucket(name: &str) -> Result<(), ServerError> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_right = (3..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    match is_right {
        true => Ok(()),
        false => Err(invalid(
            "the bucket's name",
            "must be 3 to 63 lower-case letters, digits and inner hyphens",
        )),
    }
}

fn check_secret(option: &'static str, secret: &Secret) -> Result<(), ServerError> {
    match secret.reveal().len() >= SHORTEST_SECRET {
        true => Ok(()),
        false => Err(invalid(option, &format!("must have at least {SHORTEST_SECRET} characters"))),
    }
}

fn invalid(option: &'static str, reason: &str) -> ServerError {
    ServerError::Option { option, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ServerOptions {
        ServerOptions {
            bucket: "covey-run".into(),
            admin: ("admin".into(), Secret::new("admin secret 1234")),
            master: Secret::new("master secret 123"),
            peers: None,
            validators: BTreeSet::new(),
            public_read: false,
            max_object: 1 << 20,
        }
    }

    #[test]
    fn good_options_pass() {
        options().check().unwrap();
    }

    #[test]
    fn what_no_bucket_can_be_called_is_refused() {
        for bucket in ["", "ab", "Covey", "-run", "run-", "a/b", "a.b", &"a".repeat(64)] {
            assert!(
                ServerOptions { bucket: bucket.into(), ..options() }.check().is_err(),
                "{bucket}"
            );
        }
    }

    #[test]
    fn short_secrets_are_refused_and_not_repeated() {
        let short = Secret::new("hush");
        let admin = ServerOptions { admin: ("admin".into(), short.clone()), ..options() };
        let master = ServerOptions { master: short, ..options() };
        for options in [admin, master] {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains("at least 16") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_admin_is_no_peer() {
        let id = format!("covey-{}", PeerId::from_bytes([1; 32]));
        assert!(
            ServerOptions { admin: (id, Secret::new("admin secret 1234")), ..options() }
                .check()
                .is_err()
        );
    }
}
