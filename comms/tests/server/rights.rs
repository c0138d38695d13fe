//! Whoever may do something can do it, and nobody else.

use covey_comms::bucket::location::{Access, Secret};
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::bucket::stores::ObjectStoreBucket;
use covey_comms::bucket::{Bucket, BucketError, Creation, Put, probe};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Digest, Round};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt};

use crate::client::{
    BANNED, ME, OTHER, VALIDATOR, admin, assert_denied, body, bucket, options, peer, plain, serve,
};

#[test]
fn a_peer_creates_what_it_owns_and_reads_everything() {
    serve(Server::memory(options()), |address| async move {
        let (admin, me) = (bucket(address, admin()), bucket(address, peer(ME)));
        assert_eq!(probe(&me, Digest::of(b"mine")).await.unwrap().creation, Creation::Honoured);
        let round = Round(3);
        for key in [
            Key::Delta(round, ME),
            Key::JoinRequest(ME),
            Key::Heartbeat(ME, round),
            Key::LeaveNotice(ME, round),
        ] {
            assert_eq!(me.put_new(&key, body("mine")).await.unwrap(), Put::Created);
            assert_eq!(me.put_new(&key, body("mine")).await.unwrap(), Put::Unchanged);
            assert_eq!(me.put_new(&key, body("else")).await.unwrap(), Put::Occupied);
            assert_denied(me.delete(&key).await);
        }
        let part = Digest::of(b"part");
        for key in [
            Key::Delta(round, OTHER),
            Key::JoinRequest(OTHER),
            Key::Manifest(round),
            Key::RunDescription,
            Key::RunPart(part),
        ] {
            assert_denied(me.put_new(&key, body("not mine")).await);
            assert!(admin.put_new(&key, body("theirs")).await.unwrap().is_stored());
            assert_eq!(me.get(&key, 10).await.unwrap(), "theirs");
            assert_denied(me.delete(&key).await);
        }
        let keys: Vec<_> = me
            .list(&Prefix::Deltas(round), None)
            .await
            .unwrap()
            .iter()
            .map(|listed| listed.key)
            .collect();
        assert_eq!(keys, [Key::Delta(round, ME), Key::Delta(round, OTHER)]);
    });
}

#[test]
fn a_validator_writes_decisions_and_removes_nothing() {
    serve(Server::memory(options()), |address| async move {
        let (validator, me) = (bucket(address, peer(VALIDATOR)), bucket(address, peer(ME)));
        for key in [
            Key::Manifest(Round(3)),
            Key::CheckpointDescription(Round(3)),
            Key::CommitmentList(Round(3), VALIDATOR),
        ] {
            assert_denied(me.put_new(&key, body("mine")).await);
            assert_eq!(validator.put_new(&key, body("signed")).await.unwrap(), Put::Created);
            assert_eq!(validator.put_new(&key, body("else")).await.unwrap(), Put::Occupied);
            assert_denied(validator.delete(&key).await);
        }
        assert_denied(validator.put_new(&Key::RunPart(Digest::of(b"part")), body("part")).await);
        assert_eq!(me.put_new(&Key::LedgerEntry(4), body("entry")).await.unwrap(), Put::Created);
    });
}

#[test]
fn a_peer_has_no_other_way_to_write() {
    serve(Server::memory(options()), |address| async move {
        let (me, admin) = (plain(address, peer(ME)), plain(address, admin()));
        let own = Path::from(Key::JoinRequest(ME).to_string());
        let elsewhere = Path::from(Key::Manifest(Round(1)).to_string());
        me.put(&own, "one".into()).await.unwrap();
        // Replaced without a condition, in parts, or by a copy; removed alone or with others.
        assert!(matches!(
            me.put(&own, "two".into()).await,
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. })
        ));
        let mut upload = me.put_multipart(&own).await.unwrap();
        upload.put_part("two".into()).await.unwrap();
        assert!(upload.complete().await.is_err());
        admin.put(&Path::from("other"), "two".into()).await.unwrap();
        assert!(me.copy(&Path::from("other"), &own).await.is_err());
        assert!(me.delete(&own).await.is_err());
        assert_eq!(me.get(&own).await.unwrap().bytes().await.unwrap(), "one");
        assert!(me.put(&elsewhere, "x".into()).await.is_err());
        assert!(me.put_multipart(&elsewhere).await.is_err());
        assert!(me.copy(&own, &elsewhere).await.is_err());
        assert!(me.put(&Path::from("anything"), "x".into()).await.is_err());
        assert!(matches!(me.head(&elsewhere).await, Err(Error::NotFound { .. })));
    });
}

#[test]
fn only_peers_on_the_list_are_let_in() {
    let options = ServerOptions { peers: Some([ME].into()), ..options() };
    serve(Server::memory(options), |address| async move {
        let join_request = |peer| Key::JoinRequest(peer);
        assert!(
            bucket(address, peer(ME))
                .put_new(&join_request(ME), body("x"))
                .await
                .unwrap()
                .is_stored()
        );
        assert_denied(
            bucket(address, peer(BANNED)).put_new(&join_request(BANNED), body("x")).await,
        );
        assert_denied(bucket(address, peer(BANNED)).get(&join_request(ME), 10).await);
    });
}

#[test]
fn the_public_reads_where_it_may() {
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
fn strangers_and_wrong_secrets_are_refused() {
    serve(Server::memory(ServerOptions { public_read: true, ..options() }), |address| async move {
        assert!(
            bucket(address, admin())
                .put_new(&Key::RunDescription, body("x"))
                .await
                .unwrap()
                .is_stored()
        );
        let (id, others) = (peer(ME).unwrap().0, peer(OTHER).unwrap().1);
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
            assert_denied(bucket.put_new(&Key::JoinRequest(ME), body("x")).await);
        }
    });
}

#[test]
fn another_bucket_is_missing() {
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
