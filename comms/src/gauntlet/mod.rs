//! Who deserves trust: how peers are rated by what their deltas did.
//!
//! Pure logic on plain numbers: losses come from whoever has a network, verdicts go to whoever publishes them. Every
//! function gives the same bits on every machine, so that anybody can repeat a verdict.
//!
//! - A [`Gauntlet`] draws a [`Shortlist`] of the deltas that are worth a look, compares them ([`Overlap`]), and judges the
//!   round by all that was observed ([`Inputs`]) and by what is remembered of everybody (a [`Book`] of [`Standing`]s).
//! - An [`Examiner`] is whoever can read deltas and measure what they do.
//! - The [`Outcome`] says who is in, who is out and why, and what follows for everybody; a [`Verdict`] is the document of it
//!   all, and names the first [`Difference`] if it does not follow.

pub mod examiner;
pub mod rating;
pub mod seed;
pub mod sketch;

mod config;
mod consistency;
mod difference;
mod evaluation;
mod inputs;
mod judge;
mod overlap;
mod payouts;
mod penalties;
mod recent;
mod selection;
mod shortlist;
mod standing;
mod verdict;

pub use config::GauntletConfig;
pub use difference::Difference;
pub use examiner::{Age, Examiner, ExaminerError, Losses, Measurement, Trial};
pub use inputs::{Inputs, Presence, Seated};
pub use judge::{Gauntlet, Outcome};
pub use overlap::{Overlap, OverlapConfig};
pub use payouts::{PayoutConfig, PayoutRule};
pub use penalties::{Effect, Offence, Penalty, PenaltyConfig};
pub use rating::{Rating, RatingConfig, RatingError};
pub use recent::{NotOutcomes, Recent};
pub use seed::{RoundSecret, Seed};
pub use shortlist::Shortlist;
pub use sketch::Sketch;
pub use standing::{Book, Standing};
pub use verdict::{Verdict, VerdictError};
