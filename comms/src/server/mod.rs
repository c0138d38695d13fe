//! A small S3 endpoint over a folder: the bucket of a run on a laptop or in a local network.
//!
//! One process serves one bucket. Protocol and signatures are those of S3, so peers, `aws` and `boto3` speak to it as to
//! any other store. What it adds to a plain store is what Covey needs of one:
//!
//! - A conditional write (`If-None-Match: *`) is atomic: of any number of writers at the same instant one wins.
//! - Every peer has a key pair of its own that follows from its name ([`peer_credentials`]), reads everything, and
//!   creates only what the [layout](crate::Key) says is the peer's. It replaces and removes nothing, outside of probes:
//!   what a peer has said stays said, and nobody who catches up later finds a hole.
//! - One key pair, the admin's, does everything.
//! - Bodies go to the store in blocks as they arrive, under one limit of size, and silent connections are closed.
//!
//! Left out is what runs do not use: versions, policies, tags, the metadata of objects, virtual hosts, TLS (put a proxy
//! before it), quotas. Bodies are covered by their signature; further checksums in headers are ignored.

mod access;
mod body;
mod conditions;
mod credentials;
mod depot;
mod error;
mod exchange;
mod failure;
mod listener;
mod listing;
mod operations;
mod options;
mod patience;
mod staging;
mod uploads;

pub use credentials::peer_credentials;
pub use error::ServerError;
pub use listener::{Bound, Server};
pub use options::ServerOptions;
