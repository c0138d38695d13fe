//! One run in one bucket: its description, and verified reads of its objects.

mod clock_skew;
mod delta_fetch;
mod description;
mod error;
mod peer_buckets;
mod round_objects;
mod round_params;
mod run;
mod verified_get;

pub use self::clock_skew::{MAX_SKEW, check_clock_skew};
pub use self::description::{Description, DescriptionError};
pub use self::error::CommsError;
pub use self::peer_buckets::Opener;
pub(crate) use self::round_objects::readable;
pub use self::round_params::RoundParams;
pub use self::run::Run;
pub(crate) use self::run::{CONCURRENCY, check_content, put_parts};
pub(crate) use self::verified_get::fetch;
