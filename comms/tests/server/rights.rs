//! Each key pair has its permissions and no others.

use covey_comms::bucket::location::{Access, Secret};
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::bucket::stores::ObjectStoreBucket;
use covey_comms::bucket::{Bucket, BucketError, Creation, Put, probe};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Digest, Round};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt};

use crate::client::{
    OTHER_PEER, PEER, UNLISTED_PEER, VALIDATOR, admin, assert_denied, body, bucket, options, peer,
    s3_client, serve,
};

#[test]
fn a_peer_creates_its_own_keys_and_reads_everything() {
    serve(Server::memory(options()), |address| async move {
        let (admin, client) = (bucket(address, admin()), bucket(address, peer(PEER)));
        assert_eq!(probe(&client, Digest::of(b"mine")).await.unwrap().creation, Creation::Honoured);
        let round = Round(3);
        for key in [
            Key::Delta(round, PEER),
            Key::JoinRequest(PEER),
            Key::Heartbeat(PEER, round),
            Key::LeaveNotice(PEER, round),
        ] {
            assert_eq!(client.put_new(&key, body("mine")).await.unwrap(), Put::Created);
            assert_eq!(client.put_new(&key, body("mine")).await.unwrap(), Put::Unchanged);
            assert_eq!(client.put_new(&key, body("else")).await.unwrap(), Put::Occupied);
            assert_denied(client.delete(&key).await);
        }
        let part = Digest::of(b"part");
        for key in [
            Key::Delta(round, OTHER_PEER),
            Key::JoinRequest(OTHER_PEER),
            Key::Manifest(round),
            Key::RunDescription,
            Key::RunPart(part),
        ] {
            assert_denied(client.put_new(&key, body("not mine")).await);
            assert!(admin.put_new(&key, body("theirs")).await.unwrap().is_stored());
            assert_eq!(client.get(&key, 10).await.unwrap(), "theirs");
            assert_denied(client.delete(&key).await);
        }
        let keys: Vec<_> = client
            .list(&Prefix::Deltas(round), None)
            .await
            .unwrap()
            .iter()
            .map(|listed| listed.key)
            .collect();
        assert_eq!(keys, [Key::Delta(round, PEER), Key::Delta(round, OTHER_PEER)]);
    });
}

#[test]
fn a_validator_creates_manifests_and_removes_nothing() {
    serve(Server::memory(options()), |address| async move {
        let (validator, client) = (bucket(address, peer(VALIDATOR)), bucket(address, peer(PEER)));
        for key in [
            Key::Manifest(Round(3)),
            Key::CheckpointDescription(Round(3)),
            Key::CommitmentList(Round(3), VALIDATOR),
        ] {
            assert_denied(client.put_new(&key, body("mine")).await);
            assert_eq!(validator.put_new(&key, body("signed")).await.unwrap(), Put::Created);
            assert_eq!(validator.put_new(&key, body("else")).await.unwrap(), Put::Occupied);
            assert_denied(validator.delete(&key).await);
        }
        assert_denied(validator.put_new(&Key::RunPart(Digest::of(b"part")), body("part")).await);
        assert_eq!(
            client.put_new(&Key::LedgerEntry(4), body("entry")).await.unwrap(),
            Put::Created
        );
    });
}

#[test]
fn a_peer_cannot_bypass_its_permissions() {
    serve(Server::memory(options()), |address| async move {
        let (client, admin) = (s3_client(address, peer(PEER)), s3_client(address, admin()));
        let own = Path::from(Key::JoinRequest(PEER).to_string());
        let elsewhere = Path::from(Key::Manifest(Round(1)).to_string());
        client.put(&own, "one".into()).await.unwrap();
        // To replace without a condition, in parts, or by a copy; to remove.
        assert!(matches!(
            client.put(&own, "two".into()).await,
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. })
        ));
        let mut upload = client.put_multipart(&own).await.unwrap();
        upload.put_part("two".into()).await.unwrap();
        assert!(upload.complete().await.is_err());
        admin.put(&Path::from("other"), "two".into()).await.unwrap();
        assert!(client.copy(&Path::from("other"), &own).await.is_err());
        assert!(client.delete(&own).await.is_err());
        assert_eq!(client.get(&own).await.unwrap().bytes().await.unwrap(), "one");
        assert!(client.put(&elsewhere, "x".into()).await.is_err());
        assert!(client.put_multipart(&elsewhere).await.is_err());
        assert!(client.copy(&own, &elsewhere).await.is_err());
        assert!(client.put(&Path::from("anything"), "x".into()).await.is_err());
        assert!(matches!(client.head(&elsewhere).await, Err(Error::NotFound { .. })));
    });
}

#[test]
fn only_listed_peers_have_access() {
    let options = ServerOptions { peers: Some([PEER].into()), ..options() };
    serve(Server::memory(options), |address| async move {
        let join_request = |peer| Key::JoinRequest(peer);
        assert!(
            bucket(address, peer(PEER))
                .put_new(&join_request(PEER), body("x"))
                .await
                .unwrap()
                .is_stored()
        );
        assert_denied(
            bucket(address, peer(UNLISTED_PEER))
                .put_new(&join_request(UNLISTED_PEER), body("x"))
                .await,
        );
        assert_denied(bucket(address, peer(UNLISTED_PEER)).get(&join_request(PEER), 10).await);
    });
}

#[test]
fn the_public_reads_only_a_public_bucket() {
    for public_read in [true, false] {
        serve(Server::memory(ServerOptions { public_read, ..options() }), |address| async move {
            let (public, key) = (bucket(address, None), Key::RunDescription);
            assert!(
                bucket(address, admin()).put_new(&key, body("open")).await.unwrap().is_stored()
            );
            assert_eq!(
                probe(&public, Digest::of(b"public")).await.unwrap().creation,
                Creation::ReadOnly
            );
            assert_denied(public.delete(&key).await);
            if public_read {
                assert_eq!(public.get(&key, 10).await.unwrap(), "open");
                assert_eq!(public.list(&Prefix::Run, None).await.unwrap().len(), 1);
            } else {
                assert_denied(public.get(&key, 10).await);
                assert_denied(public.list(&Prefix::Run, None).await);
            }
        });
    }
}

#[test]
fn unknown_keys_and_wrong_secrets_are_refused() {
    serve(Server::memory(ServerOptions { public_read: true, ..options() }), |address| async move {
        assert!(
            bucket(address, admin())
                .put_new(&Key::RunDescription, body("x"))
                .await
                .unwrap()
                .is_stored()
        );
        let (id, others) = (peer(PEER).unwrap().0, peer(OTHER_PEER).unwrap().1);
        let wrong = Secret::new("a guess of enough length");
        for keys in [
            (id, others),
            ("admin".into(), wrong.clone()),
            ("root".into(), wrong.clone()),
            ("covey-".into(), wrong),
        ] {
            let bucket = bucket(address, Some(keys));
            assert_denied(bucket.get(&Key::RunDescription, 10).await);
            assert_denied(bucket.list(&Prefix::Run, None).await);
            assert_denied(bucket.put_new(&Key::JoinRequest(PEER), body("x")).await);
        }
    });
}

#[test]
fn a_bucket_with_another_name_is_missing() {
    serve(Server::memory(options()), |address| async move {
        let access = Access {
            endpoint: Some(format!("http://{address}")),
            keys: admin(),
            ..Access::default()
        };
        let other = ObjectStoreBucket::s3("covey-other", "", &access).unwrap();
        for error in [
            other.get(&Key::RunDescription, 10).await.unwrap_err(),
            other.list(&Prefix::Run, None).await.unwrap_err(),
            other.put_new(&Key::RunDescription, body("x")).await.unwrap_err(),
        ] {
            assert!(matches!(error, BucketError::Missing { .. }), "{error:?}");
        }
    });
}
