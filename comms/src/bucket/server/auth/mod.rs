//! Access keys of the users of a server, and the permissions of each key.
//!
//! Start with the authorizer: it decides on every request before the body is read. The server
//! stores no table of peers: [`peer_credentials`] derives the key pair of each peer from one master
//! secret. This folder never reads a body and never touches a file.
//!
//! ```rust
//! use covey_comms::bucket::location::Secret;
//! use covey_comms::bucket::server::auth::peer_credentials;
//! use covey_comms::primitives::PeerId;
//!
//! let master = Secret::new("derives the keys of all peers");
//! let (id, secret) = peer_credentials(&master, PeerId::from_bytes([1; 32]));
//! assert!(id.starts_with("covey-"));
//! // The same key pair each time, and another one for another peer.
//! assert_eq!(peer_credentials(&master, PeerId::from_bytes([1; 32])).1, secret);
//! assert_ne!(peer_credentials(&master, PeerId::from_bytes([2; 32])).1, secret);
//! ```

mod authorization;
mod credentials;

pub(crate) use self::authorization::{Authorizer, Permission};
pub use self::credentials::peer_credentials;
pub(crate) use self::credentials::{Keyring, peer_of};
