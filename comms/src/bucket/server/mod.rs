//! An S3 server over a folder, for groups without a cloud account.

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
