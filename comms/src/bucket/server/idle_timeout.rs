//! A connection that ends after a time without any transfer.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream that fails with [`ErrorKind::TimedOut`] if no byte is sent or received for `limit`.
///
/// Covers clients that stop within a header or a body, clients that stop reading an answer, and
/// clients that disappear without closing the connection. Each of them would otherwise hold a
/// connection, and perhaps an unfinished body, forever.
pub(super) struct IdleTimeout<S> {
    stream: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S: Unpin> IdleTimeout<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: Box::pin(tokio::time::sleep(limit)) }
    }

    /// Returns the result of `poll`, or an error if it has been pending for the limit.
    fn wait<T>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Self { stream, limit, timer } = self.get_mut();
        match poll(Pin::new(stream), context) {
            // One timer for both directions: an answer that is read slowly keeps the connection
            // open, although its client sends nothing.
            Poll::Pending => timer.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into())),
            ready => {
                timer.as_mut().reset(Instant::now() + *limit);
                ready
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wait(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wait(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wait(context, |stream, context| stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wait(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wait(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_idle_connection_ends_and_each_byte_restarts_the_timer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let limit = Duration::from_millis(200);
            let mut server = IdleTimeout::new(listener.accept().await.unwrap().0, limit);
            let (mut bytes, start) = ([0; 8], Instant::now());
            for _ in 0..3 {
                tokio::time::sleep(limit * 3 / 4).await;
                client.try_write(b"x").unwrap();
                let mut buffer = ReadBuf::new(&mut bytes);
                poll_fn(|context| Pin::new(&mut server).poll_read(context, &mut buffer))
                    .await
                    .unwrap();
                assert_eq!(buffer.filled(), b"x");
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            let outcome =
                poll_fn(|context| Pin::new(&mut server).poll_read(context, &mut buffer)).await;
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() > limit * 3);
        });
    }
}
