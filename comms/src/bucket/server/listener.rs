//! The server, its address and its connections.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::error::ServerError;
use super::idle_timeout::IdleTimeout;
use super::options::ServerOptions;
use crate::bucket::server::auth::{Authorizer, Keyring};
use crate::bucket::server::files::{ObjectFiles, staging};
use crate::bucket::server::http::handle;
use crate::bucket::server::routes::{Operations, Uploads};
use crate::primitives::{Clock, SystemClock};

/// The most connections at a time, because each may hold a block of a body in memory. Further
/// clients wait.
const MAX_CONNECTIONS: usize = 512;

/// The time after which an idle connection ends. HTTP clients keep idle connections for up to 90
/// seconds. With a longer time here, the client closes first, and a connection never ends in the
/// middle of the next request.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// The time for requests to finish when the server stops.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The largest XML body in bytes: the names of 10,000 parts fit.
const MAX_XML: usize = 2 * 1024 * 1024;

/// A bucket that is ready to be served.
pub struct Server {
    service: S3Service,
    lock: Option<File>,
}

impl Server {
    /// Creates a server for the existing folder `path`. Its files are the objects, each durable
    /// before its writer gets an answer.
    ///
    /// No other program may write to the folder while the server exists. Programs on the same
    /// machine may read it.
    ///
    /// # Errors
    /// [`ServerError::Option`], [`ServerError::Folder`] or [`ServerError::InUse`].
    pub fn folder(path: &Path, options: ServerOptions) -> Result<Self, ServerError> {
        options.check()?;
        let lock = staging::lock(path)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| {
            ServerError::Folder { path: path.into(), source: std::io::Error::other(error) }
        })?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { service: service(Arc::new(store), options), lock: Some(lock) })
    }

    /// Creates a server for an empty bucket in memory, for tests. The objects are lost when the
    /// server ends.
    ///
    /// # Errors
    /// [`ServerError::Option`].
    pub fn memory(options: ServerOptions) -> Result<Self, ServerError> {
        options.check()?;
        Ok(Self { service: service(Arc::new(InMemory::new()), options), lock: None })
    }

    /// Listens on `address`; port 0 selects a free port. Needs a Tokio runtime with timers and
    /// network.
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub async fn bind(self, address: SocketAddr) -> Result<BoundServer, ServerError> {
        match TcpListener::bind(address).await.and_then(|socket| Ok((socket.local_addr()?, socket)))
        {
            Ok((address, listener)) => Ok(BoundServer { server: self, listener, address }),
            Err(source) => Err(ServerError::Bind { address, source }),
        }
    }
}

fn service(store: Arc<dyn ObjectStore>, options: ServerOptions) -> S3Service {
    let ServerOptions { bucket, admin, master, peers, validators, public_read, max_object } =
        options;
    let mut builder = S3ServiceBuilder::new(Operations {
        bucket: bucket.clone(),
        object_files: ObjectFiles::new(store, max_object),
        uploads: Uploads::new(SystemClock.now(), max_object),
    });
    builder.set_access(Authorizer { bucket, admin: admin.0.clone(), validators, public_read });
    builder.set_auth(Keyring { admin, master, peers });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits()))));
    builder.build()
}

/// Limits the memory that a client can make `s3s` use.
fn limits() -> S3Config {
    let mut limits = S3Config::default();
    limits.xml_max_body_size = MAX_XML;
    // The server has no uploads by HTML forms, but `s3s` reads a form before it refuses one.
    limits.post_object_max_file_size = 0;
    limits.form_max_field_size = 1024;
    limits.form_max_fields_size = 8 * 1024;
    limits.form_max_parts = 16;
    limits
}

/// A server with an address. Clients can connect to it; it answers once it [serves](Self::serve).
pub struct BoundServer {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundServer {
    /// The address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `until` completes, then finishes the requests in progress and unlocks
    /// the folder.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        let shutdown = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let stream = match select(until.as_mut(), pin!(self.accept(&mut connections))).await {
                Either::Left(_) => break,
                Either::Right((stream, _)) => stream,
            };
            connections.spawn(serve_connection(
                stream,
                self.server.service.clone(),
                shutdown.watcher(),
            ));
        }
        // Before the wait: new clients fail at once instead of waiting for an answer.
        drop(self.listener);
        // Cuts off the requests that take longer.
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, shutdown.shutdown()).await;
        connections.shutdown().await;
        // Last: no request may write after another server has the folder.
        drop(self.server.lock);
    }

    async fn accept(&self, connections: &mut JoinSet<()>) -> TcpStream {
        loop {
            // A `JoinSet` keeps the results of finished tasks until they are taken.
            while connections.try_join_next().is_some() {}
            if connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
                continue;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Answers the requests of one client until one side closes the connection.
async fn serve_connection(stream: TcpStream, service: S3Service, watcher: Watcher) {
    // Answers are short and the client waits for them, so they must not wait for further bytes to
    // send.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(IdleTimeout::new(stream, IDLE_LIMIT));
    let connection = http1::Builder::new()
        // Without a timer, hyper does not limit the time to read a header.
        .timer(TokioTimer::new())
        .serve_connection(stream, service_fn(move |request| handle(service.clone(), request)));
    // An error means that the client has left; it gets no answer.
    let _ = watcher.watch(connection).await;
}
