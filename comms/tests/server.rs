//! `covey bucket serve`, seen from its clients: our own, and any that speaks S3.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::{
    Access, Bucket, BucketError, Creation, Digest, Key, PeerId, Prefix, Put, Retry, RetryPolicy, Round, Secret, Server,
    ServerError, ServerOptions, StoreBucket, SystemClock, check_conformance, peer_credentials, probe,
};
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use tokio::net::TcpStream;

const NAME: &str = "covey-test";
const MAX_OBJECT: u64 = 20 << 20;
const ME: PeerId = PeerId::from_bytes([1; 32]);
const OTHER: PeerId = PeerId::from_bytes([2; 32]);
const BANNED: PeerId = PeerId::from_bytes([3; 32]);

type Keys = Option<(String, Secret)>;

fn master() -> Secret {
    Secret::new("the master secret of tests")
}

fn admin() -> Keys {
    Some(("admin".into(), Secret::new("the admin's secret of tests")))
}

fn peer(peer: PeerId) -> Keys {
    Some(peer_credentials(&master(), peer))
}

fn options() -> ServerOptions {
    ServerOptions {
        bucket: NAME.into(),
        admin: admin().unwrap(),
        master: master(),
        peers: None,
        public_read: false,
        max_object: MAX_OBJECT,
    }
}

/// Serves while `client` runs, which shows as well that the server then ends.
fn serve<F: Future<Output = ()>>(server: Result<Server, ServerError>, client: impl FnOnce(SocketAddr) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bound = server.unwrap().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address();
        let served = tokio::time::timeout(Duration::from_secs(120), bound.serve(client(address)));
        served.await.expect("the server ends with its client");
    });
}

fn bucket(address: SocketAddr, keys: Keys) -> StoreBucket {
    let access = Access { endpoint: Some(format!("http://{address}")), keys, ..Access::default() };
    StoreBucket::s3(NAME, "runs/one", &access).unwrap()
}

/// A client that knows nothing of Covey.
fn plain(address: SocketAddr, keys: Keys) -> AmazonS3 {
    let (id, secret) = keys.unwrap();
    // Once per process, as our own client does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    AmazonS3Builder::new()
        .with_bucket_name(NAME)
        .with_region("us-east-1")
        .with_endpoint(format!("http://{address}"))
        .with_access_key_id(id)
        .with_secret_access_key(secret.reveal())
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap()
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn assert_denied<T: std::fmt::Debug>(outcome: Result<T, BucketError>) {
    assert!(matches!(outcome, Err(BucketError::Denied { .. })), "{outcome:?}");
}

/// The files below a folder, other than the server's lock.
fn files(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path.display().to_string()),
        }
    }
    files.retain(|path| !path.ends_with(".uploads/lock"));
    files
}

async fn keeps_the_contract(address: SocketAddr) {
    let bucket = bucket(address, admin());
    assert_eq!(probe(&bucket, Digest::of(b"nonce")).await.unwrap().creation, Creation::Honoured);
    let bucket = Retry::new(bucket, Arc::new(SystemClock), RetryPolicy::default(), 1);
    check_conformance(&bucket).await.unwrap();
}

#[test]
fn memory_keeps_the_contract() {
    serve(Server::memory(options()), keeps_the_contract);
}

#[test]
fn a_folder_keeps_the_contract_and_ends_empty() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), keeps_the_contract);
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn of_32_writers_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    // Bodies of one block, which are put, and of several, which are set aside and then moved.
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
fn a_peer_creates_what_it_owns_and_reads_everything() {
    serve(Server::memory(options()), |address| async move {
        let (admin, me) = (bucket(address, admin()), bucket(address, peer(ME)));
        assert_eq!(probe(&me, Digest::of(b"mine")).await.unwrap().creation, Creation::Honoured);
        let round = Round(3);
        for key in [Key::Delta(round, ME), Key::Hello(ME), Key::Heartbeat(ME, round), Key::Farewell(ME, round)] {
            assert_eq!(me.put_new(&key, body("mine")).await.unwrap(), Put::Created);
            assert_eq!(me.put_new(&key, body("mine")).await.unwrap(), Put::Unchanged);
            assert_eq!(me.put_new(&key, body("else")).await.unwrap(), Put::Occupied);
            assert_denied(me.delete(&key).await);
        }
        let part = Digest::of(b"part");
        for key in
            [Key::Delta(round, OTHER), Key::Hello(OTHER), Key::Manifest(round), Key::RunDescription, Key::RunPart(part)]
        {
            assert_denied(me.put_new(&key, body("not mine")).await);
            assert!(admin.put_new(&key, body("theirs")).await.unwrap().is_stored());
            assert_eq!(me.get(&key, 10).await.unwrap(), "theirs");
            assert_denied(me.delete(&key).await);
        }
        let keys: Vec<_> =
            me.list(&Prefix::Deltas(round), None).await.unwrap().iter().map(|listed| listed.key).collect();
        assert_eq!(keys, [Key::Delta(round, ME), Key::Delta(round, OTHER)]);
    });
}

#[test]
fn a_peer_has_no_other_way_to_write() {
    serve(Server::memory(options()), |address| async move {
        let (me, admin) = (plain(address, peer(ME)), plain(address, admin()));
        let own = Path::from(Key::Hello(ME).to_string());
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
        let hello = |peer| Key::Hello(peer);
        assert!(bucket(address, peer(ME)).put_new(&hello(ME), body("x")).await.unwrap().is_stored());
        assert_denied(bucket(address, peer(BANNED)).put_new(&hello(BANNED), body("x")).await);
        assert_denied(bucket(address, peer(BANNED)).get(&hello(ME), 10).await);
    });
}

#[test]
fn the_public_reads_where_it_may() {
    for public_read in [true, false] {
        serve(Server::memory(ServerOptions { public_read, ..options() }), |address| async move {
            let (public, key) = (bucket(address, None), Key::RunDescription);
            bucket(address, admin()).put_new(&key, body("open")).await.unwrap();
            assert_eq!(probe(&public, Digest::of(b"public")).await.unwrap().creation, Creation::ReadOnly);
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
        bucket(address, admin()).put_new(&Key::RunDescription, body("x")).await.unwrap();
        let (id, others) = (peer(ME).unwrap().0, peer(OTHER).unwrap().1);
        let wrong = Secret::new("a guess of enough length");
        for keys in
            [(id, others), ("admin".into(), wrong.clone()), ("root".into(), wrong.clone()), ("covey-".into(), wrong)]
        {
            let bucket = bucket(address, Some(keys));
            assert_denied(bucket.get(&Key::RunDescription, 10).await);
            assert_denied(bucket.list(&Prefix::Run, None).await);
            assert_denied(bucket.put_new(&Key::Hello(ME), body("x")).await);
        }
    });
}

#[test]
fn another_bucket_is_missing() {
    serve(Server::memory(options()), |address| async move {
        let access = Access { endpoint: Some(format!("http://{address}")), keys: admin(), ..Access::default() };
        let other = StoreBucket::s3("covey-other", "", &access).unwrap();
        for error in [
            other.get(&Key::RunDescription, 10).await.unwrap_err(),
            other.list(&Prefix::Run, None).await.unwrap_err(),
            other.put_new(&Key::RunDescription, body("x")).await.unwrap_err(),
        ] {
            assert!(matches!(error, BucketError::Missing { .. }), "{error:?}");
        }
    });
}

#[test]
fn objects_end_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions { max_object: 3_000_000, ..options() };
    serve(Server::folder(folder.path(), options), |address| async move {
        let bucket = bucket(address, admin());
        let (fits, does_not) = (Key::Manifest(Round(1)), Key::Manifest(Round(2)));
        assert_eq!(bucket.put_new(&fits, bytes(3_000_000).into()).await.unwrap(), Put::Created);
        assert_eq!(bucket.get(&fits, MAX_OBJECT).await.unwrap(), bytes(3_000_000));
        for length in [3_000_001, 30_000_000] {
            let error = bucket.put_new(&does_not, bytes(length).into()).await.unwrap_err();
            // A refusal, not a connection that breaks: that would be tried again.
            assert!(matches!(error, BucketError::Refused { .. }), "{error:?}");
        }
        let plain = plain(address, admin());
        let mut upload = plain.put_multipart(&Path::from("parts")).await.unwrap();
        upload.put_part(bytes(2_000_000).into()).await.unwrap();
        assert!(upload.put_part(bytes(2_000_000).into()).await.is_err());
        upload.abort().await.unwrap();
    });
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn long_listings_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let bucket = bucket(address, admin());
        let keys: Vec<_> = (0..1100).map(|round| Key::CheckpointDescription(Round(round))).collect();
        for some in keys.chunks(50) {
            try_join_all(some.iter().map(|key| bucket.put_new(key, body("x")))).await.unwrap();
        }
        let list = async |after| {
            let listing = bucket.list(&Prefix::Checkpoints, after).await.unwrap();
            listing.into_iter().map(|listed| listed.key).collect::<Vec<_>>()
        };
        assert_eq!(list(None).await, keys);
        assert_eq!(list(Some(&keys[99])).await, keys[100..]);
        let plain = plain(address, admin());
        let checkpoints = Path::from("runs/one/checkpoints");
        let found = plain.list_with_delimiter(Some(&checkpoints)).await.unwrap();
        assert_eq!((found.common_prefixes.len(), found.objects.len()), (1100, 0));
        // A thousand at a time.
        let places = plain.list(Some(&checkpoints)).map_ok(|object| object.location).boxed();
        let removed: Vec<_> = plain.delete_stream(places).try_collect().await.unwrap();
        assert_eq!(removed.len(), 1100);
    });
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn parts_of_objects_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for server in [Server::memory(options()), Server::folder(folder.path(), options())] {
        serve(server, |address| async move {
            let (store, path, content) = (plain(address, admin()), Path::from("a/b c"), bytes(1_200_000));
            store.put(&path, content.clone().into()).await.unwrap();
            let ranges: [Range<u64>; 4] = [0..1, 5..600_000, 1_199_999..1_200_000, 1_000_000..2_000_000];
            for range in ranges {
                let expected = &content[range.start as usize..content.len().min(range.end as usize)];
                assert_eq!(store.get_range(&path, range).await.unwrap(), expected);
            }
            assert!(store.get_range(&path, 1_200_000..1_200_001).await.is_err());
            assert_eq!(store.head(&path).await.unwrap().size, 1_200_000);
        });
    }
}

#[test]
fn large_objects_arrive_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    for server in [Server::memory(options()), Server::folder(folder.path(), options())] {
        serve(server, |address| async move {
            let (store, path, content) = (plain(address, admin()), Path::from("large"), bytes(16_000_000));
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
fn conditions_of_readers_hold() {
    serve(Server::memory(options()), |address| async move {
        let (store, path) = (plain(address, admin()), Path::from("object"));
        store.put(&path, "x".into()).await.unwrap();
        let found = store.head(&path).await.unwrap();
        let tag = found.e_tag.clone();
        let get = |options| store.get_opts(&path, options);
        let default = object_store::GetOptions::default;
        assert!(get(default().with_if_match(tag.clone())).await.is_ok());
        assert!(matches!(get(default().with_if_none_match(tag)).await, Err(Error::NotModified { .. })));
        let other = Some("\"other\"".to_owned());
        assert!(matches!(get(default().with_if_match(other.clone())).await, Err(Error::Precondition { .. })));
        assert!(get(default().with_if_none_match(other)).await.is_ok());
        let modified = Some(found.last_modified);
        assert!(matches!(get(default().with_if_modified_since(modified)).await, Err(Error::NotModified { .. })));
        assert!(get(default().with_if_unmodified_since(modified)).await.is_ok());
    });
}

#[test]
fn no_key_leaves_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let client = plain(address, admin());
        for key in [".uploads/staged/9", ".uploads/lock", "a#1"] {
            let path = Path::parse(key).unwrap();
            assert!(client.put(&path, "x".into()).await.is_err(), "{key}");
            assert!(client.get(&path).await.is_err(), "{key}");
        }
        // Names that look like ways out, once decoded, are names.
        for key in ["%2E%2E/outside", "a/..%2F..%2Foutside"] {
            let path = Path::parse(key).unwrap();
            client.put(&path, "x".into()).await.unwrap();
            assert_eq!(client.get(&path).await.unwrap().bytes().await.unwrap(), "x");
        }
    });
    assert_eq!(files(folder.path()).len(), 2);
    assert!(!folder.path().parent().unwrap().join("outside").exists());
}

#[test]
fn a_client_that_leaves_within_a_body_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let (client, path) = (plain(address, admin()), Path::from("half"));
        for sent in [10, 100_000, 3_000_000] {
            let url = client.signed_url(http_put(), &path, Duration::from_secs(60)).await.unwrap();
            let target = format!("{}?{}", url.path(), url.query().unwrap());
            let stream = start(address, &target, &bytes(sent), 4_000_000).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(stream);
        }
        let bucket = bucket(address, admin());
        assert!(bucket.put_new(&Key::RunDescription, body("alive")).await.unwrap().is_stored());
        assert!(matches!(client.head(&path).await, Err(Error::NotFound { .. })));
        // The same, to the end.
        let url = client.signed_url(http_put(), &path, Duration::from_secs(60)).await.unwrap();
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        let answer = request(address, &target, &bytes(4_000_000), 4_000_000).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(client.head(&path).await.unwrap().size, 4_000_000);
    });
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn what_is_not_http_is_survived() {
    serve(Server::memory(options()), |address| async move {
        for noise in
            [&b"\0\xff\x16\x03\x01"[..], b"GET / HTTP/9.9\r\n\r\n", b"PUT /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n"]
        {
            let stream = TcpStream::connect(address).await.unwrap();
            write(&stream, noise).await;
            let answer = read(&stream).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        let form = "POST /covey-test HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n\
                    content-length: 9\r\nconnection: close\r\n\r\n--b--\r\n..";
        let stream = TcpStream::connect(address).await.unwrap();
        write(&stream, form.as_bytes()).await;
        let answer = read(&stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(probe(&bucket(address, admin()), Digest::of(b"alive")).await.unwrap().creation, Creation::Honoured);
    });
}

#[test]
fn a_folder_is_served_by_one_server_and_then_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::folder(folder.path(), options());
    assert!(matches!(Server::folder(folder.path(), options()), Err(ServerError::InUse { .. })));
    serve(first, |address| async move {
        bucket(address, admin()).put_new(&Key::RunDescription, body("kept")).await.unwrap();
    });
    serve(Server::folder(folder.path(), options()), |address| async move {
        assert_eq!(bucket(address, admin()).get(&Key::RunDescription, 10).await.unwrap(), "kept");
    });
}

fn http_put() -> reqwest::Method {
    reqwest::Method::PUT
}

/// Sends a request whose body announces `length` bytes, and the bytes that there are.
async fn start(address: SocketAddr, target: &str, body: &[u8], length: usize) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    let header =
        format!("PUT {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    write(&stream, header.as_bytes()).await;
    write(&stream, body).await;
    stream
}

async fn request(address: SocketAddr, target: &str, body: &[u8], length: usize) -> String {
    read(&start(address, target, body, length).await).await
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

async fn read(stream: &TcpStream) -> String {
    let (mut answer, mut some) = (Vec::new(), [0; 4096]);
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut some) {
            Ok(0) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(length) => answer.extend_from_slice(&some[..length]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}
