//! The life of one request: the service answers it, and the rest of its body is discarded.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{HeaderMap, Request, Response, StatusCode};
use s3s::StdError;
use s3s::service::S3Service;

use super::chunk_limit::ChunkScanner;

/// The most bytes of a body that are read and discarded.
const MAX_DISCARDED: usize = 256 * 1024 * 1024;

/// Answers a request, then discards the rest of its body before the answer is sent.
///
/// A refusal needs nothing of the body. But a connection that is closed while its client still
/// writes is reset, and a client that sees a reset instead of the refusal repeats the request.
pub(crate) async fn handle(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Infallible> {
    let (parts, body) = request.into_parts();
    // A client with this header sends the body only after an interim answer, so it reads a refusal
    // first.
    let expects_answer = parts.headers.contains_key(EXPECT);
    let scanner = is_chunked(&parts.headers).then(ChunkScanner::default);
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let checked = CheckedBody { body: body.clone(), scanner };
    let request = Request::from_parts(parts, s3s::Body::http_body_unsync(checked));
    let answer = service.call(request).await.unwrap_or_else(|_| internal_error());
    if !expects_answer {
        discard(body).await;
    }
    Ok(answer)
}

/// Returns true if the body is framed in chunks, each of which `s3s` holds in memory.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all("x-amz-content-sha256").iter();
    values.any(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

fn internal_error() -> Response<s3s::Body> {
    let mut answer = Response::new(s3s::Body::empty());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

async fn discard(mut body: SharedBody) {
    let mut left = MAX_DISCARDED;
    while !body.is_end_stream() {
        let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        else {
            return;
        };
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// A body that the service consumes and that can be read further afterwards. The lock is held only
/// within a poll.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    fn with<T>(&self, use_body: impl FnOnce(&mut Incoming) -> T) -> T {
        use_body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

/// A body that fails at a chunk above the limit.
struct CheckedBody {
    body: SharedBody,
    scanner: Option<ChunkScanner>,
}

impl Body for CheckedBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Self { body, scanner } = &mut *self;
        let next = Pin::new(body).poll_frame(context).map_err(StdError::from);
        if let (Poll::Ready(Some(Ok(frame))), Some(scanner)) = (&next, scanner)
            && let Some(data) = frame.data_ref()
            && let Err(error) = scanner.scan(data)
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
