//! URLs of buckets, the credentials for them, and the addresses that a reader refuses to contact.
//!
//! Start with [`Location`], the parsed URL, and [`open`]. A location may come from another peer: a
//! join request may name a bucket. So the address policy decides which hosts are near, and the HTTP
//! client limits the answers of a store. This folder never reads the environment itself, and no
//! message of it repeats a secret.
//!
//! ```rust
//! use covey_comms::bucket::location::Location;
//!
//! let url = "s3://run-7/deltas?endpoint=https://store.example.org:9000&region=eu";
//! let location: Location = url.parse().unwrap();
//! assert_eq!(location.to_string(), "s3://run-7/deltas at https://store.example.org:9000");
//! assert!(!location.is_near());
//! // Another peer may not send us to our own network.
//! let near: Location = "s3://run-7?endpoint=http://192.168.1.1".parse().unwrap();
//! assert!(near.is_near());
//! // A URL with keys is refused.
//! assert!("s3://key:secret@run-7".parse::<Location>().is_err());
//! ```

mod address_policy;
mod credentials;
mod http_client;
mod location;
mod open;
mod s3_address;

pub use self::credentials::{Access, Secret};
pub use self::location::Location;
pub use self::open::open;
