//! The constants of the Gauntlet, which the run description fixes for all validators.
//!
//! The folder holds values and their limits, and never a rule. Start with
//! [`GauntletConfig`](crate::gauntlet::GauntletConfig); the defaults are those of the published
//! Gauntlet where it names one. `docs/decisions/0011-differences-from-published-gauntlet.md` gives
//! the reason for each difference.
//!
//! ```rust
//! use covey_comms::gauntlet::GauntletConfig;
//!
//! let config = GauntletConfig { num_evaluated: 8, ..GauntletConfig::default() };
//! assert_eq!(config.check(), Ok(()));
//!
//! let none = GauntletConfig { num_evaluated: 0, ..config };
//! let (field, value, reason) = none.check().unwrap_err();
//! assert_eq!((field, value.as_str()), ("evaluations", "0"));
//! assert_eq!(reason, "it must be from 1 to 65536");
//! ```

mod gauntlet_config;
mod limits;
mod payouts;
mod penalties;
mod rating;
mod similarity;

pub use self::gauntlet_config::GauntletConfig;
pub use self::payouts::{PayoutConfig, PayoutRule};
pub use self::penalties::PenaltyConfig;
pub use self::rating::RatingConfig;
pub use self::similarity::SimilarityConfig;
