//! URLs of buckets, the credentials for them, and the addresses that a reader refuses to dial.

mod address_policy;
mod credentials;
mod location;

pub use self::credentials::{Access, Secret};
pub use self::location::{Location, open};
