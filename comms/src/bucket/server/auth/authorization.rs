//! Who may do what.

use std::collections::BTreeSet;

use async_trait::async_trait;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::Credentials;
use s3s::dto::DeleteObjectsInput;
use s3s::path::S3Path;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::credentials::peer_named;
use crate::objects::Key;
use crate::primitives::PeerId;

/// What every key of the layout begins with.
const FIRST_STEPS: [&str; 6] = ["run", "rounds", "checkpoints", "peers", "probe", "ledger"];

/// How far the permission to write goes; travels with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Write, replace, remove.
    Everything,
    /// Write what is not there yet.
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
    /// Its keys come with the body and are looked at then.
    RemoveMany,
    Other,
}

impl Authorizer {
    fn visitor(&self, credentials: Option<&Credentials>) -> Caller {
        let Some(Credentials { access_key, .. }) = credentials else { return Caller::Public };
        match peer_named(access_key) {
            _ if *access_key == self.admin => Caller::Admin,
            Some(peer) => Caller::Peer(peer),
            // Nobody else has a secret that could have signed this.
            None => Caller::Public,
        }
    }

    fn right(&self, visitor: &Caller, deed: &Action, path: &S3Path) -> S3Result<Permission> {
        match (visitor, deed, path) {
            (Caller::Admin, ..) => Ok(Permission::Everything),
            (Caller::Peer(_), Action::Read | Action::RemoveMany, _) => Ok(Permission::CreateOnly),
            (Caller::Peer(peer), Action::Write, S3Path::Object { key, .. }) => {
                may_write(*peer, self.validators.contains(peer), key)
            }
            (Caller::Peer(_), Action::Remove, S3Path::Object { key, .. }) => may_remove(key),
            (Caller::Public, Action::Read, _) if self.public_read => Ok(Permission::CreateOnly),
            (Caller::Public, Action::Read, _) => {
                Err(s3_error!(AccessDenied, "a key is needed to read here"))
            }
            (Caller::Public, ..) => Err(s3_error!(AccessDenied, "a key is needed to write here")),
            _ => Err(s3_error!(AccessDenied, "this is for the admin's key")),
        }
    }

    fn check_bucket(&self, operation: &str, path: &S3Path) -> S3Result<()> {
        match path.get_bucket_name() {
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
        let visitor = self.visitor(context.credentials());
        if !matches!(visitor, Caller::Public) && !is_of_version_4(context) {
            return Err(s3_error!(AccessDenied, "requests are signed by version 4 here"));
        }
        let operation = context.s3_op().name();
        let right = self.right(&visitor, &deed(operation), context.s3_path())?;
        self.check_bucket(operation, context.s3_path())?;
        context.extensions_mut().insert(right);
        Ok(())
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        if let Caller::Admin = self.visitor(request.credentials.as_ref()) {
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

/// Older signatures cover too little of a request, and never grow old.
fn is_of_version_4(context: &S3AccessContext<'_>) -> bool {
    let by_header = context
        .headers()
        .get("authorization")
        .is_some_and(|text| text.as_bytes().starts_with(b"AWS4-"));
    by_header || context.uri().query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

fn deed(operation: &str) -> Action {
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
        // The description is there already: who tries to write it again finds out what it may.
        Some(
            Key::RunDescription
            | Key::Manifest(_)
            | Key::CheckpointDescription(_)
            | Key::CheckpointPart(..),
        ) if is_validator => Ok(Permission::CreateOnly),
        _ => Err(not_yours(path)),
    }
}

fn may_remove(path: &str) -> S3Result<Permission> {
    match key_within(path) {
        Some(Key::Probe(_)) => Ok(Permission::Everything),
        _ => Err(s3_error!(AccessDenied, "peers do not remove what they have written")),
    }
}

fn not_yours(path: &str) -> S3Error {
    s3_error!(AccessDenied, "this key does not write `{path}`")
}

/// The key of the layout that `path` is, below whatever prefix.
///
/// The layout begins at the first step that may be its beginning, so that no key hides below another.
fn key_within(path: &str) -> Option<Key> {
    let mut rest = path;
    loop {
        let (step, after) = rest.split_once('/')?;
        if FIRST_STEPS.contains(&step) {
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
    fn the_layout_begins_where_it_says() {
        let begins = [
            Prefix::Run,
            Prefix::Rounds,
            Prefix::Checkpoints,
            Prefix::Peers,
            Prefix::Probes,
            Prefix::Ledger,
        ];
        assert_eq!(begins.map(|prefix| prefix.to_string()), FIRST_STEPS);
    }

    #[test]
    fn peers_create_what_is_theirs() {
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
    fn validators_create_what_is_the_runs_and_remove_nothing() {
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
    fn probes_are_anybodys() {
        let path = format!("run-2/{}", Key::Probe(Digest::of(b"nonce")));
        assert_eq!(may_write(PEER, false, &path).unwrap(), Permission::Everything);
        assert_eq!(may_remove(&path).unwrap(), Permission::Everything);
    }

    #[test]
    fn nothing_else_is_theirs() {
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
