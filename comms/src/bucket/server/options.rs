//! The options of a server.

use std::collections::BTreeSet;

use super::error::ServerError;
use crate::bucket::location::Secret;
use crate::bucket::server::auth::peer_of;
use crate::primitives::PeerId;

/// The fewest characters of a secret. A shorter one can be guessed offline from one intercepted
/// request: its signature confirms each guess.
const MIN_SECRET: usize = 16;

/// A bucket and the permissions of its users.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The name of the bucket: 3 to 63 lowercase letters, digits and hyphens.
    pub bucket: String,
    /// The key pair with all permissions: an access key ID and its secret.
    pub admin: (String, Secret),
    /// The master secret from which the key pairs of peers are derived, see
    /// [`peer_credentials`](crate::bucket::server::auth::peer_credentials).
    pub master: Secret,
    /// The peers with access; `None` gives access to every peer with a derived key pair.
    pub peers: Option<BTreeSet<PeerId>>,
    /// The validators of the run, which may create manifests and checkpoints as well.
    pub validators: BTreeSet<PeerId>,
    /// True if every object can be read without a key pair.
    pub public_read: bool,
    /// The largest object in bytes.
    pub max_object: u64,
}

impl ServerOptions {
    pub(super) fn check(&self) -> Result<(), ServerError> {
        check_bucket(&self.bucket)?;
        check_secret("the admin secret", &self.admin.1)?;
        check_secret("the master secret", &self.master)?;
        // A slash separates the parts of a credential in a signed request.
        if self.admin.0.is_empty() || self.admin.0.contains('/') {
            return Err(invalid("the admin access key ID", "must not be empty or contain a slash"));
        }
        // The key pair of that peer would stop working.
        if peer_of(&self.admin.0).is_some() {
            return Err(invalid("the admin access key ID", "must not be the one of a peer"));
        }
        Ok(())
    }
}

fn check_bucket(name: &str) -> Result<(), ServerError> {
    // The rules of S3 without dots, which clients may take for a host name.
    let is_valid = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_valid {
        Ok(())
    } else {
        Err(invalid(
            "the bucket name",
            "must be 3 to 63 lowercase letters, digits and inner hyphens",
        ))
    }
}

fn check_secret(option: &'static str, secret: &Secret) -> Result<(), ServerError> {
    if secret.reveal().len() >= MIN_SECRET {
        Ok(())
    } else {
        Err(invalid(option, &format!("must have at least {MIN_SECRET} characters")))
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
    fn valid_options_pass() {
        options().check().unwrap();
    }

    #[test]
    fn invalid_bucket_names_are_refused() {
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
    fn the_admin_cannot_have_the_id_of_a_peer() {
        let id = format!("covey-{}", PeerId::from_bytes([1; 32]));
        assert!(
            ServerOptions { admin: (id, Secret::new("admin secret 1234")), ..options() }
                .check()
                .is_err()
        );
    }
}
