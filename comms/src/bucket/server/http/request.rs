//! One request and its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;

/// The most of a body that is read only to be thrown away.
const MAX_DISCARDED: usize = 256 * 1024 * 1024;

/// Answers a request, and first takes in what the answer did not need of its body.
///
/// A refusal needs none of it. But a connection that is closed while its client still writes is reset, and a reset tells
/// the client nothing: it would try again and again what it may not do.
pub(crate) async fn exchange(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Infallible> {
    let (parts, body) = request.into_parts();
    // Such a client writes only when it is told to, and reads the refusal first.
    let waits = parts.headers.contains_key(EXPECT);
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, s3s::Body::http_body_unsync(body.clone()));
    let answer = service.call(request).await.unwrap_or_else(|_| broken());
    if !waits {
        discard(body).await;
    }
    Ok(answer)
}

fn broken() -> Response<s3s::Body> {
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

/// A body that comes back from whoever it was given to. Its lock is held only within a poll.
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
