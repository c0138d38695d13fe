//! A store that belongs to a dishonest peer, seen from our client.

use std::io::ErrorKind;

use covey_comms::bucket::{Bucket, BucketError};
use covey_comms::objects::{Key, Prefix};
use tokio::net::{TcpListener, TcpStream};

use crate::client::bucket;

/// Answers every connection with a header and a body that does not end.
async fn answer_without_end(listener: TcpListener, header: &'static str) {
    while let Ok((stream, _)) = listener.accept().await {
        write_without_end(&stream, header.as_bytes()).await;
    }
}

async fn write_without_end(stream: &TcpStream, mut bytes: &[u8]) {
    let block = [b'x'; 1 << 16];
    while stream.writable().await.is_ok() {
        match stream.try_write(bytes) {
            Ok(written) if written < bytes.len() => bytes = &bytes[written..],
            Ok(_) => bytes = &block,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

#[test]
fn answers_without_end_are_cut_off() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A length that cannot be allocated, and none.
        for header in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 1000000000000000\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let bucket = bucket(listener.local_addr().unwrap(), None);
            let store = tokio::spawn(answer_without_end(listener, header));
            for error in [
                bucket.list(&Prefix::Rounds, None).await.unwrap_err(),
                bucket.get(&Key::RunDescription, 10).await.unwrap_err(),
            ] {
                assert!(matches!(error, BucketError::Unavailable { .. }), "{error:?}");
            }
            store.abort();
        }
    });
}
