//! Objects are stored whole, once, and under their key.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use covey_comms::bucket::decorators::{Retry, RetryPolicy};
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::bucket::{Bucket, BucketError, Creation, Put, check_conformance, probe};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Digest, Round, SystemClock};
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::client::{MAX_OBJECT, admin, body, bucket, bytes, files, options, s3_client, serve};

async fn obeys_the_laws(address: SocketAddr) {
    let bucket = bucket(address, admin());
    assert_eq!(probe(&bucket, Digest::of(b"nonce")).await.unwrap().creation, Creation::Honoured);
    let bucket = Retry::new(bucket, Arc::new(SystemClock), RetryPolicy::default(), 1);
    check_conformance(&bucket).await.unwrap();
}

#[test]
fn a_server_in_memory_obeys_the_laws() {
    serve(Server::memory(options()), obeys_the_laws);
}

#[test]
fn a_served_folder_obeys_the_laws_and_ends_empty() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), obeys_the_laws);
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn of_32_writers_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    // A body of one block is written at once, one of several blocks is staged and then moved.
    for length in [100, 1_500_000] {
        serve(Server::folder(folder.path(), options()), |address| async move {
            let key = Key::Manifest(Round(length as u32));
            let writers = (0..32_u8).map(|writer| {
                let bucket = bucket(address, admin());
                async move { bucket.put_new(&key, vec![writer; length].into()).await.unwrap() }
            });
            let puts = join_all(writers).await;
            let winners: Vec<_> = (0..32).filter(|writer| puts[*writer] == Put::Created).collect();
            assert_eq!(winners.len(), 1, "{puts:?}");
            let stored = bucket(address, admin()).get(&key, MAX_OBJECT).await.unwrap();
            assert_eq!(stored, vec![winners[0] as u8; length]);
        });
    }
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn objects_above_the_limit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions { max_object: 3_000_000, ..options() };
    serve(Server::folder(folder.path(), options), |address| async move {
        let bucket = bucket(address, admin());
        let (fits, does_not) = (Key::Manifest(Round(1)), Key::Manifest(Round(2)));
        assert_eq!(bucket.put_new(&fits, bytes(3_000_000).into()).await.unwrap(), Put::Created);
        assert_eq!(bucket.get(&fits, MAX_OBJECT).await.unwrap(), bytes(3_000_000));
        for length in [3_000_001, 30_000_000] {
            let error = bucket.put_new(&does_not, bytes(length).into()).await.unwrap_err();
            // A refusal, and not a broken connection, after which the client would try again.
            assert!(matches!(error, BucketError::Refused { .. }), "{error:?}");
        }
        let client = s3_client(address, admin());
        let mut upload = client.put_multipart(&Path::from("parts")).await.unwrap();
        upload.put_part(bytes(2_000_000).into()).await.unwrap();
        assert!(upload.put_part(bytes(2_000_000).into()).await.is_err());
        upload.abort().await.unwrap();
    });
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn long_listings_span_several_pages() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let bucket = bucket(address, admin());
        let keys: Vec<_> =
            (0..1100).map(|round| Key::CheckpointDescription(Round(round))).collect();
        for chunk in keys.chunks(50) {
            try_join_all(chunk.iter().map(|key| bucket.put_new(key, body("x")))).await.unwrap();
        }
        let list = async |after| {
            let listing = bucket.list(&Prefix::Checkpoints, after).await.unwrap();
            listing.into_iter().map(|listed| listed.key).collect::<Vec<_>>()
        };
        assert_eq!(list(None).await, keys);
        assert_eq!(list(Some(&keys[99])).await, keys[100..]);
        let client = s3_client(address, admin());
        let checkpoints = Path::from("runs/one/checkpoints");
        let found = client.list_with_delimiter(Some(&checkpoints)).await.unwrap();
        assert_eq!((found.common_prefixes.len(), found.objects.len()), (1100, 0));
        // A thousand at a time.
        let places = client.list(Some(&checkpoints)).map_ok(|object| object.location).boxed();
        let removed: Vec<_> = client.delete_stream(places).try_collect().await.unwrap();
        assert_eq!(removed.len(), 1100);
    });
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn ranges_of_objects_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for server in [Server::memory(options()), Server::folder(folder.path(), options())] {
        serve(server, |address| async move {
            let (store, path, content) =
                (s3_client(address, admin()), Path::from("a/b c"), bytes(1_200_000));
            store.put(&path, content.clone().into()).await.unwrap();
            let ranges: [Range<u64>; 4] =
                [0..1, 5..600_000, 1_199_999..1_200_000, 1_000_000..2_000_000];
            for range in ranges {
                let expected =
                    &content[range.start as usize..content.len().min(range.end as usize)];
                assert_eq!(store.get_range(&path, range).await.unwrap(), expected);
            }
            assert!(store.get_range(&path, 1_200_000..1_200_001).await.is_err());
            assert_eq!(store.head(&path).await.unwrap().size, 1_200_000);
        });
    }
}

#[test]
fn large_objects_are_uploaded_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    for server in [Server::memory(options()), Server::folder(folder.path(), options())] {
        serve(server, |address| async move {
            let (store, path, content) =
                (s3_client(address, admin()), Path::from("large"), bytes(16_000_000));
            let upload = store.put_multipart(&path).await.unwrap();
            let mut writer = WriteMultipart::new_with_chunk_size(upload, 5 << 20);
            writer.write(&content);
            assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
            writer.finish().await.unwrap();
            assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
            let copy = Path::from("copy");
            store.copy(&path, &copy).await.unwrap();
            assert_eq!(store.get(&copy).await.unwrap().bytes().await.unwrap(), content);
            let mut abandoned = store.put_multipart(&Path::from("abandoned")).await.unwrap();
            abandoned.put_part(bytes(100).into()).await.unwrap();
            abandoned.abort().await.unwrap();
        });
    }
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn conditions_of_reads_are_checked() {
    serve(Server::memory(options()), |address| async move {
        let (store, path) = (s3_client(address, admin()), Path::from("object"));
        store.put(&path, "x".into()).await.unwrap();
        let found = store.head(&path).await.unwrap();
        let tag = found.e_tag.clone();
        let get = |options| store.get_opts(&path, options);
        let default = object_store::GetOptions::default;
        assert!(get(default().with_if_match(tag.clone())).await.is_ok());
        assert!(matches!(
            get(default().with_if_none_match(tag)).await,
            Err(Error::NotModified { .. })
        ));
        let other = Some("\"other\"".to_owned());
        assert!(matches!(
            get(default().with_if_match(other.clone())).await,
            Err(Error::Precondition { .. })
        ));
        assert!(get(default().with_if_none_match(other)).await.is_ok());
        let modified = Some(found.last_modified);
        assert!(matches!(
            get(default().with_if_modified_since(modified)).await,
            Err(Error::NotModified { .. })
        ));
        assert!(get(default().with_if_unmodified_since(modified)).await.is_ok());
    });
}

#[test]
fn no_key_reaches_outside_of_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let client = s3_client(address, admin());
        for key in [".uploads/staged/9", ".uploads/lock", "a#1"] {
            let path = Path::parse(key).unwrap();
            assert!(client.put(&path, "x".into()).await.is_err(), "{key}");
            assert!(client.get(&path).await.is_err(), "{key}");
        }
        // Names that look like paths out of the bucket once decoded are plain names.
        for key in ["%2E%2E/outside", "a/..%2F..%2Foutside"] {
            let path = Path::parse(key).unwrap();
            client.put(&path, "x".into()).await.unwrap();
            assert_eq!(client.get(&path).await.unwrap().bytes().await.unwrap(), "x");
        }
    });
    assert_eq!(files(folder.path()).len(), 2);
    assert!(!folder.path().parent().unwrap().join("outside").exists());
}
