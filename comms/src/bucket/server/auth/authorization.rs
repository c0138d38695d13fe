//! The permissions of each access key.

use std::collections::BTreeSet;

use async_trait::async_trait;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::Credentials;
use s3s::dto::DeleteObjectsInput;
use s3s::path::S3Path;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::credentials::peer_of;
use crate::objects::Key;
use crate::primitives::PeerId;

/// The folders at the root of the bucket layout.
const ROOT_FOLDERS: [&str; 6] = ["run", "rounds", "checkpoints", "peers", "probe", "ledger"];

/// The extent of the permission to write. It travels with the request, as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Create, replace and remove.
    Everything,
    /// Create, but not replace.
    CreateOnly,
}

/// Decides on every request, before its body is read.
pub(crate) struct Authorizer {
    pub(in crate::bucket::server) bucket: String,
    pub(in crate::bucket::server) admin: String,
    pub(in crate::bucket::server) validators: BTreeSet<PeerId>,
    pub(in crate::bucket::server) public_read: bool,
}

enum Caller {
    Admin,
    Peer(PeerId),
    Public,
}

enum Action {
    Read,
    Write,
    Remove,
    /// The keys are in the body, so they are checked when it has been read.
    RemoveMany,
    Other,
}

impl Authorizer {
    /// The caller of a request with a valid signature, or without one.
    fn caller(&self, credentials: Option<&Credentials>) -> Caller {
        let Some(Credentials { access_key, .. }) = credentials else { return Caller::Public };
        match peer_of(access_key) {
            _ if *access_key == self.admin => Caller::Admin,
            Some(peer) => Caller::Peer(peer),
            // Cannot happen: no other access key has a secret.
            None => Caller::Public,
        }
    }

    fn permission(&self, caller: &Caller, action: &Action, path: &S3Path) -> S3Result<Permission> {
        match (caller, action, path) {
            (Caller::Admin, ..) => Ok(Permission::Everything),
            (Caller::Peer(_), Action::Read | Action::RemoveMany, _) => Ok(Permission::CreateOnly),
            (Caller::Peer(peer), Action::Write, S3Path::Object { key, .. }) => {
                may_write(*peer, self.validators.contains(peer), key)
            }
            (Caller::Peer(_), Action::Remove, S3Path::Object { key, .. }) => may_remove(key),
            (Caller::Public, Action::Read, _) if self.public_read => Ok(Permission::CreateOnly),
            (Caller::Public, Action::Read, _) => {
                Err(s3_error!(AccessDenied, "a key is required to read"))
            }
            (Caller::Public, ..) => Err(s3_error!(AccessDenied, "a key is required to write")),
            _ => Err(s3_error!(AccessDenied, "only the admin key may do this")),
        }
    }

    fn check_bucket(&self, operation: &str, path: &S3Path) -> S3Result<()> {
        match path.get_bucket_name() {
            // `CreateBucket` has a more precise error for another name.
            Some(name) if name != self.bucket && operation != "CreateBucket" => {
                Err(s3_error!(NoSuchBucket))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl S3Access for Authorizer {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let caller = self.caller(context.credentials());
        if !matches!(caller, Caller::Public) && !is_of_version_4(context) {
            return Err(s3_error!(AccessDenied, "requests must be signed by version 4"));
        }
        let operation = context.s3_op().name();
        // Before the bucket: a caller without permission does not learn the name of the bucket.
        let permission = self.permission(&caller, &action(operation), context.s3_path())?;
        self.check_bucket(operation, context.s3_path())?;
        context.extensions_mut().insert(permission);
        Ok(())
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        if let Caller::Admin = self.caller(request.credentials.as_ref()) {
            return Ok(());
        }
        request
            .input
            .delete
            .objects
            .iter()
            .try_for_each(|object| may_remove(&object.key).map(|_| ()))
    }
}

/// Signatures of version 2 do not cover the whole request and do not expire.
fn is_of_version_4(context: &S3AccessContext<'_>) -> bool {
    let by_header = context
        .headers()
        .get("authorization")
        .is_some_and(|text| text.as_bytes().starts_with(b"AWS4-"));
    by_header || context.uri().query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

fn action(operation: &str) -> Action {
    match operation {
        "GetObject" | "HeadObject" | "HeadBucket" | "GetBucketLocation" | "ListBuckets"
        | "ListObjectsV2" => Action::Read,
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload"
        | "ListParts" => Action::Write,
        "DeleteObject" => Action::Remove,
        "DeleteObjects" => Action::RemoveMany,
        _ => Action::Other,
    }
}

fn may_write(peer: PeerId, is_validator: bool, path: &str) -> S3Result<Permission> {
    match key_within(path) {
        Some(Key::Probe(_)) => Ok(Permission::Everything),
        Some(Key::LedgerEntry(_)) => Ok(Permission::CreateOnly),
        Some(key) if key.owner() == Some(peer) => Ok(Permission::CreateOnly),
        // The description exists already. A validator that writes the same one again gets
        // `Unchanged`, not a denial.
        Some(
            Key::RunDescription
            | Key::Manifest(_)
            | Key::CheckpointDescription(_)
            | Key::CheckpointPart(..),
        ) if is_validator => Ok(Permission::CreateOnly),
        _ => Err(denied(path)),
    }
}

fn may_remove(path: &str) -> S3Result<Permission> {
    match key_within(path) {
        Some(Key::Probe(_)) => Ok(Permission::Everything),
        _ => Err(s3_error!(AccessDenied, "peers may not remove objects")),
    }
}

fn denied(path: &str) -> S3Error {
    s3_error!(AccessDenied, "this key may not write `{path}`")
}

/// The key of the bucket layout at the end of `path`, below any prefix.
///
/// The layout begins at the first of its root folders, so a path cannot hide one key below another.
fn key_within(path: &str) -> Option<Key> {
    let mut rest = path;
    loop {
        let (folder, after) = rest.split_once('/')?;
        if ROOT_FOLDERS.contains(&folder) {
            return rest.parse().ok();
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Prefix;
    use crate::primitives::{Digest, Round};

    const PEER: PeerId = PeerId::from_bytes([7; 32]);
    const OTHER: PeerId = PeerId::from_bytes([8; 32]);

    #[test]
    fn the_root_folders_are_those_of_the_layout() {
        let prefixes = [
            Prefix::Run,
            Prefix::Rounds,
            Prefix::Checkpoints,
            Prefix::Peers,
            Prefix::Probes,
            Prefix::Ledger,
        ];
        assert_eq!(prefixes.map(|prefix| prefix.to_string()), ROOT_FOLDERS);
    }

    #[test]
    fn peers_create_their_own_keys_only() {
        let keys = [
            Key::Delta(Round(3), PEER),
            Key::JoinRequest(PEER),
            Key::Heartbeat(PEER, Round(3)),
            Key::LeaveNotice(PEER, Round(3)),
            Key::Commitment(Round(3), PEER),
            Key::Vote(Round(3), OTHER, PEER),
        ];
        for key in keys {
            for prefix in ["", "runs/one/"] {
                let path = format!("{prefix}{key}");
                assert_eq!(
                    may_write(PEER, false, &path).unwrap(),
                    Permission::CreateOnly,
                    "{path}"
                );
                assert!(may_write(OTHER, false, &path).is_err(), "{path}");
                assert!(may_remove(&path).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn validators_create_manifests_and_checkpoints_and_remove_nothing() {
        let digest = Digest::of(b"part");
        let keys = [
            Key::RunDescription,
            Key::Manifest(Round(1)),
            Key::CheckpointDescription(Round(1)),
            Key::CheckpointPart(Round(1), digest),
        ];
        for path in keys.map(|key| key.to_string()) {
            assert_eq!(may_write(PEER, true, &path).unwrap(), Permission::CreateOnly, "{path}");
            assert!(may_write(PEER, false, &path).is_err() && may_remove(&path).is_err(), "{path}");
        }
        assert!(may_write(PEER, true, &Key::RunPart(digest).to_string()).is_err());
        assert_eq!(
            may_write(PEER, false, &Key::LedgerEntry(7).to_string()).unwrap(),
            Permission::CreateOnly
        );
    }

    #[test]
    fn every_peer_writes_and_removes_probes() {
        let path = format!("run-2/{}", Key::Probe(Digest::of(b"nonce")));
        assert_eq!(may_write(PEER, false, &path).unwrap(), Permission::Everything);
        assert_eq!(may_remove(&path).unwrap(), Permission::Everything);
    }

    #[test]
    fn peers_write_no_other_path() {
        let own = Key::JoinRequest(PEER);
        let digest = Digest::of(b"part");
        let keys = [
            Key::RunDescription,
            Key::RunPart(digest),
            Key::Manifest(Round(1)),
            Key::CheckpointPart(Round(1), digest),
        ];
        let hidden = [
            format!("rounds/0000000001/deltas/{own}"),
            format!("run/{own}"),
            format!("{own}/more"),
            format!("/{own}/"),
            String::new(),
            "notes".into(),
            "rounds".into(),
        ];
        for path in keys.iter().map(Key::to_string).chain(hidden) {
            assert!(may_write(PEER, false, &path).is_err(), "{path}");
        }
    }
}
