//! Clients that disconnect, that do not send HTTP, and that reconnect after a restart of the
//! server.

use std::net::SocketAddr;
use std::time::Duration;

use covey_comms::bucket::server::{Server, ServerError};
use covey_comms::bucket::{Bucket, Creation, probe};
use covey_comms::objects::Key;
use covey_comms::primitives::Digest;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, ObjectStoreExt};
use tokio::net::TcpStream;

use crate::client::{admin, body, bucket, bytes, files, options, s3_client, serve};

#[test]
fn an_interrupted_upload_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    serve(Server::folder(folder.path(), options()), |address| async move {
        let (client, path) = (s3_client(address, admin()), Path::from("half"));
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
        // The same upload, completed.
        let url = client.signed_url(http_put(), &path, Duration::from_secs(60)).await.unwrap();
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        let answer = request(address, &target, &bytes(4_000_000), 4_000_000).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(client.head(&path).await.unwrap().size, 4_000_000);
    });
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn the_server_survives_malformed_requests() {
    serve(Server::memory(options()), |address| async move {
        for bytes in [
            &b"\0\xff\x16\x03\x01"[..],
            b"GET / HTTP/9.9\r\n\r\n",
            b"PUT /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        ] {
            let stream = TcpStream::connect(address).await.unwrap();
            write(&stream, bytes).await;
            let answer = read(&stream).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        let form = "POST /covey-test HTTP/1.1\r\nhost: x\r\n\
                    content-type: multipart/form-data; boundary=b\r\n\
                    content-length: 9\r\nconnection: close\r\n\r\n--b--\r\n..";
        let stream = TcpStream::connect(address).await.unwrap();
        write(&stream, form.as_bytes()).await;
        let answer = read(&stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(
            probe(&bucket(address, admin()), Digest::of(b"alive")).await.unwrap().creation,
            Creation::Honoured
        );
    });
}

#[test]
fn a_folder_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::folder(folder.path(), options());
    assert!(matches!(Server::folder(folder.path(), options()), Err(ServerError::InUse { .. })));
    serve(first, |address| async move {
        assert!(
            bucket(address, admin())
                .put_new(&Key::RunDescription, body("kept"))
                .await
                .unwrap()
                .is_stored()
        );
    });
    serve(Server::folder(folder.path(), options()), |address| async move {
        assert_eq!(bucket(address, admin()).get(&Key::RunDescription, 10).await.unwrap(), "kept");
    });
}

fn http_put() -> reqwest::Method {
    reqwest::Method::PUT
}

/// Sends a request that announces a body of `length` bytes, and the bytes of `body`.
async fn start(address: SocketAddr, target: &str, body: &[u8], length: usize) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    let header = format!(
        "PUT {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
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
