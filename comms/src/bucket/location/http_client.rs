//! The HTTP client of S3 stores. A store may belong to another peer, so its answers are limited.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::redirect::Policy;
use url::Url;

use super::address_policy;

/// The time limit to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause within an answer. Whole requests have no limit here, because a large object on
/// a slow connection takes long; their limit is
/// [`RetryPolicy::try_limit`](crate::bucket::decorators::RetryPolicy).
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest page of a listing in bytes. A page has at most 1,000 keys of 1,024 bytes, which the
/// XML may escape to several times their length.
const MAX_LISTING_PAGE: u64 = 8 * 1024 * 1024;

/// The largest error document in bytes. Its text becomes a part of an error and so of a log.
const MAX_ERROR: u64 = 64 * 1024;

/// The most redirects of one request, as in `reqwest`.
const MAX_REDIRECTS: usize = 10;

/// Creates the client for one store.
#[derive(Debug)]
pub(super) struct S3Connector {
    allows_http: bool,
    is_near: bool,
}

impl S3Connector {
    /// A connector to `endpoint`, or to Amazon S3.
    pub(super) fn new(endpoint: Option<&str>) -> Self {
        let url = endpoint.and_then(|endpoint| Url::parse(endpoint).ok());
        Self {
            allows_http: url.as_ref().is_some_and(|url| url.scheme() == "http"),
            is_near: url.is_some_and(|url| is_near(&url)),
        }
    }
}

impl HttpConnector for S3Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        // Not from `ClientOptions`, which has no option for redirects. No compression, because the
        // length of an object is taken from `Content-Length`.
        let client = reqwest::Client::builder()
            .user_agent(concat!("covey/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .https_only(!self.allows_http)
            .redirect(if self.is_near {
                Policy::limited(MAX_REDIRECTS)
            } else {
                only_to_far_hosts()
            })
            .build()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: error.into() })?;
        Ok(HttpClient::new(LimitedClient(HttpClient::new(client))))
    }
}

/// Follows redirects to public hosts only. Otherwise a bucket of another peer could send requests
/// into this network, which the [address policy](super::address_policy) excludes for the bucket
/// itself.
fn only_to_far_hosts() -> Policy {
    Policy::custom(|attempt| {
        if attempt.previous().len() > MAX_REDIRECTS || is_near(attempt.url()) {
            attempt.stop()
        } else {
            attempt.follow()
        }
    })
}

fn is_near(url: &Url) -> bool {
    url.host().is_none_or(|host| address_policy::is_near(&host))
}

/// A client that limits the answers that `object_store` reads whole and without a limit.
#[derive(Debug)]
struct LimitedClient(HttpClient);

#[async_trait]
impl HttpService for LimitedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Only an object is read with `GET` and without a query. `ObjectStoreBucket` limits its
        // body.
        let reads_object = request.method() == Method::GET && request.uri().query().is_none();
        let response = self.0.execute(request).await?;
        let is_success = response.status().is_success();
        if is_success && reads_object {
            return Ok(response);
        }
        let left = if is_success { MAX_LISTING_PAGE } else { MAX_ERROR };
        Ok(response.map(|body| HttpResponseBody::new(LimitedBody { body, left })))
    }
}

/// A body that fails when it exceeds a limit.
struct LimitedBody {
    body: HttpResponseBody,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer of the store is too long")]
struct AnswerTooLong;

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let next = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &next {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => {
                    let error = HttpError::new(HttpErrorKind::Decode, AnswerTooLong);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // The reader allocates the lower bound, which the store announces and need not send.
        let announced = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(announced.lower().min(self.left));
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn answers_end_at_their_limit() {
        for (length, left, is_read) in [(0, 0, true), (10, 10, true), (11, 10, false)] {
            let body = HttpResponseBody::from(vec![7_u8; length]);
            let limited = HttpResponseBody::new(LimitedBody { body, left });
            let read = limited.bytes().now_or_never().unwrap();
            assert_eq!(read.is_ok_and(|bytes| bytes.len() == length), is_read, "{length}");
        }
    }

    #[test]
    fn an_announced_length_above_the_limit_is_not_allocated() {
        let body = HttpResponseBody::from(vec![7_u8; 100]);
        assert_eq!(LimitedBody { body, left: 10 }.size_hint().lower(), 10);
    }

    #[test]
    fn the_endpoint_decides_on_encryption_and_redirects() {
        for (endpoint, allows_http, is_near) in [
            (None, false, false),
            (Some("https://store.example.org"), false, false),
            (Some("http://8.8.8.8"), true, false),
            (Some("http://127.0.0.1:9000"), true, true),
        ] {
            let connector = S3Connector::new(endpoint);
            assert_eq!((connector.allows_http, connector.is_near), (allows_http, is_near));
        }
    }
}
