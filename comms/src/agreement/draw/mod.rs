//! The seed of a round's draws.
//!
//! A validator pledges a secret in its commitment list and reveals it in its verdict. The seed
//! follows from the secret and the lists. The folder draws numbers and never decides what they are
//! used for. Start with [`Seed`].
//!
//! ```rust
//! use covey_comms::agreement::draw::Seed;
//!
//! let seed = Seed::from_bytes([7; 32]);
//! let windows = seed.draw("windows", 3, 1000);
//! assert_eq!(windows.len(), 3);
//! // The same on every machine, and independent of draws for another purpose.
//! assert_eq!(windows, seed.draw("windows", 3, 1000));
//! assert_ne!(windows, seed.draw("chunks", 3, 1000));
//! ```

mod seed;

pub use self::seed::{RoundSecret, Seed};
