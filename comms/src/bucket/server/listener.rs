//! The server and its connections.

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
use crate::bucket::server::http::exchange;
use crate::bucket::server::routes::{Operations, Uploads};
use crate::primitives::{Clock, SystemClock};

/// More clients wait to be accepted; each may hold a block in memory.
const MAX_CONNECTIONS: usize = 512;

/// How long nothing may move on a connection. Longer than clients keep idle connections for reuse, so that it is they
/// who close them, and not in the middle of the next request.
const SILENCE: Duration = Duration::from_secs(120);

/// How long requests may take to finish when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted, usually for want of file descriptors.
const RESPITE: Duration = Duration::from_millis(100);

/// The largest body that is read as XML: the names of 10,000 parts fit.
const MAX_XML: usize = 2 * 1024 * 1024;

/// A bucket that can be served.
pub struct Server {
    service: S3Service,
    claim: Option<File>,
}

impl Server {
    /// A bucket whose objects are the files below `path`, a folder that exists; each is durable when its writer is told.
    ///
    /// The folder is for this server alone to write as long as it lives. Peers on the same machine may read it.
    ///
    /// # Errors
    /// [`ServerError::Option`], [`ServerError::Folder`] or [`ServerError::InUse`].
    pub fn folder(path: &Path, options: ServerOptions) -> Result<Self, ServerError> {
        options.check()?;
        let claim = staging::claim(path)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| {
            ServerError::Folder { path: path.into(), source: std::io::Error::other(error) }
        })?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { service: service(Arc::new(store), options), claim: Some(claim) })
    }

    /// A bucket in the memory of this process, gone with it; for tests and rehearsals.
    ///
    /// # Errors
    /// [`ServerError::Option`].
    pub fn memory(options: ServerOptions) -> Result<Self, ServerError> {
        options.check()?;
        Ok(Self { service: service(Arc::new(InMemory::new()), options), claim: None })
    }

    /// Takes `address`; port 0 stands for any that is free. Needs a Tokio runtime with timers and network.
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub async fn bind(self, address: SocketAddr) -> Result<BoundServer, ServerError> {
        let broken = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?;
        Ok(BoundServer { server: self, listener, address })
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

/// What strangers may make the protocol's side keep in memory. Uploads by HTML forms are not ours, but would be read
/// before they are refused.
fn limits() -> S3Config {
    let mut limits = S3Config::default();
    limits.xml_max_body_size = MAX_XML;
    limits.post_object_max_file_size = 0;
    limits.form_max_field_size = 1024;
    limits.form_max_fields_size = 8 * 1024;
    limits.form_max_parts = 16;
    limits
}

/// A server at its address, which lets clients connect from now on and answers them once it [serves](Self::serve).
pub struct BoundServer {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundServer {
    /// Where it listens, with the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `until` completes, then ends what has begun and releases the folder.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        let leave_notice = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let stream = match select(until.as_mut(), pin!(self.accept(&mut connections))).await {
                Either::Left(_) => break,
                Either::Right((stream, _)) => stream,
            };
            connections.spawn(converse(
                stream,
                self.server.service.clone(),
                leave_notice.watcher(),
            ));
        }
        drop(self.listener);
        // Whoever takes longer is cut off when the connections are dropped.
        let _ = tokio::time::timeout(FAREWELL, leave_notice.shutdown()).await;
        connections.shutdown().await;
        drop(self.server.claim);
    }

    async fn accept(&self, connections: &mut JoinSet<()>) -> TcpStream {
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
                continue;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => tokio::time::sleep(RESPITE).await,
            }
        }
    }
}

/// Answers one client until either side has had enough.
async fn converse(stream: TcpStream, service: S3Service, watcher: Watcher) {
    // Answers are short, and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(IdleTimeout::new(stream, SILENCE));
    let answer = service_fn(move |request| exchange(service.clone(), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(stream, answer);
    // However it ended, there is nobody left to tell.
    let _ = watcher.watch(connection).await;
}
