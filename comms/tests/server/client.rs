//! A server that runs during a test, and its clients.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::bucket::BucketError;
use covey_comms::bucket::location::{Access, Secret};
use covey_comms::bucket::server::auth::peer_credentials;
use covey_comms::bucket::server::{Server, ServerError, ServerOptions};
use covey_comms::bucket::stores::ObjectStoreBucket;
use covey_comms::primitives::PeerId;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};

pub(crate) const NAME: &str = "covey-test";
pub(crate) const MAX_OBJECT: u64 = 20 << 20;
/// A peer that is also a validator.
pub(crate) const VALIDATOR: PeerId = PeerId::from_bytes([9; 32]);
pub(crate) const PEER: PeerId = PeerId::from_bytes([1; 32]);
pub(crate) const OTHER_PEER: PeerId = PeerId::from_bytes([2; 32]);
pub(crate) const UNLISTED_PEER: PeerId = PeerId::from_bytes([3; 32]);

pub(crate) type Keys = Option<(String, Secret)>;

pub(crate) fn master() -> Secret {
    Secret::new("the master secret of tests")
}

pub(crate) fn admin() -> Keys {
    Some(("admin".into(), Secret::new("the admin's secret of tests")))
}

pub(crate) fn peer(peer: PeerId) -> Keys {
    Some(peer_credentials(&master(), peer))
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        bucket: NAME.into(),
        admin: admin().unwrap(),
        master: master(),
        peers: None,
        validators: [VALIDATOR].into(),
        public_read: false,
        max_object: MAX_OBJECT,
    }
}

/// Serves while `client` runs. Fails if the server does not end with it.
pub(crate) fn serve<F: Future<Output = ()>>(
    server: Result<Server, ServerError>,
    client: impl FnOnce(SocketAddr) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bound = server.unwrap().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address();
        let served = tokio::time::timeout(Duration::from_secs(120), bound.serve(client(address)));
        served.await.expect("the server must end with its client");
    });
}

pub(crate) fn bucket(address: SocketAddr, keys: Keys) -> ObjectStoreBucket {
    let access = Access { endpoint: Some(format!("http://{address}")), keys, ..Access::default() };
    ObjectStoreBucket::s3(NAME, "runs/one", &access).unwrap()
}

/// A general S3 client.
pub(crate) fn s3_client(address: SocketAddr, keys: Keys) -> AmazonS3 {
    let (id, secret) = keys.unwrap();
    // Once per process, as in our own client.
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

pub(crate) fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Bytes in which neighbouring blocks differ.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

pub(crate) fn assert_denied<T: std::fmt::Debug>(outcome: Result<T, BucketError>) {
    assert!(matches!(outcome, Err(BucketError::Denied { .. })), "{outcome:?}");
}

/// The files below a folder except for the lock of the server.
pub(crate) fn files(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files.retain(|path| !path.ends_with(".uploads/lock"));
    files
}
