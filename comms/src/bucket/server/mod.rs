//! An S3 server for a folder, for groups without a cloud account.
//!
//! Start with [`Server`] and [`BoundServer::serve`]. A request passes `http` (body and conditions),
//! [`auth`] (signature and permission), `routes` (the S3 operations) and `files` (whole files under
//! the folder). The S3 protocol itself, with signatures and XML, comes from the crate `s3s`.
//!
//! The server never interprets an object: a key of the bucket layout decides who may write it.
//! Clients are not trusted. The memory that one of them can make the server use is bounded.
//!
//! ```rust
//! use std::collections::BTreeSet;
//!
//! use covey_comms::bucket::location::Secret;
//! use covey_comms::bucket::server::{Server, ServerOptions};
//!
//! let options = ServerOptions {
//!     bucket: "covey-run".into(),
//!     admin: ("admin".into(), Secret::new("16 characters or more")),
//!     master: Secret::new("derives the keys of all peers"),
//!     peers: None,
//!     validators: BTreeSet::new(),
//!     public_read: true,
//!     max_object: 1 << 30,
//! };
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! runtime.block_on(async {
//!     let server = Server::memory(options).unwrap();
//!     let bound = server.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
//!     assert_ne!(bound.address().port(), 0);
//!     bound.serve(async {}).await; // Serves until the future completes.
//! });
//! ```

pub mod auth;
mod error;
pub(crate) mod files;
pub(crate) mod http;
mod idle_timeout;
mod listener;
mod options;
pub(crate) mod routes;

pub use self::error::ServerError;
pub use self::listener::{BoundServer, Server};
pub use self::options::ServerOptions;
