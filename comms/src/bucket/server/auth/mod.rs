//! Access keys of the server's users and what each of them may do.

mod authorization;
mod credentials;

pub(crate) use self::authorization::{Authorizer, Permission};
pub use self::credentials::peer_credentials;
pub(crate) use self::credentials::{Keyring, peer_named};
