//! One run in one bucket: its description, its parameters, and verified reads of its objects.
//!
//! Every read of an object of another party returns a checked value or a [`Fetched`] reason.
//! Nothing here decides a round. Start at [`Run`].
//!
//! ```
//! use covey_comms::bucket::BucketError;
//! use covey_comms::run::{CommsError, Fetched};
//!
//! // An outage is an error; an absent object is an answer.
//! let absent: CommsError = BucketError::NotFound { what: "run/description".into() }.into();
//! assert!(matches!(Fetched::<()>::from(Err(absent)), Fetched::Absent));
//! ```

mod clock_skew;
mod delta_fetch;
mod description;
mod error;
mod fetched;
mod peer_buckets;
mod round_objects;
mod round_params;
mod run;
mod verified_get;

pub use self::clock_skew::{MAX_SKEW, check_clock_skew};
pub use self::description::{Description, DescriptionError};
pub use self::error::CommsError;
pub use self::fetched::Fetched;
pub use self::peer_buckets::Opener;
pub use self::round_params::RoundParams;
pub use self::run::Run;
pub(crate) use self::run::{CONCURRENCY, check_content, put_parts};
pub(crate) use self::verified_get::fetch;
