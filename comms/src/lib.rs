//! Peers that do not trust each other train one model: in rounds, through a bucket.
//!
//! Nothing here names a tensor. Deltas, weights and losses are bytes and numbers, so this crate
//! builds without Burn and without the other crates. Secrets, clock and storage are arguments.
//!
//! A room imports only from rooms on lower floors; `scripts/check_house.py` reads this table.
//!
//! | floor | rooms | what they hold |
//! |---|---|---|
//! | 1 | [`primitives`] | digests, keys, rounds, clocks |
//! | 2 | [`objects`] | objects as bytes: keys, envelopes, manifests, checkpoints |
//! | 3 | [`bucket`], [`agreement`] | the store; validator sets and certificates |
//! | 4 | [`membership`] | who takes part in a round, and in which slot |
//! | 5 | [`gauntlet`], [`ledger`] | inclusion and ratings; registration |
//! | 6 | [`run`] | one run in one bucket: its description, and verified reads |
//! | 7 | [`history`] | the verified history: light client, checkpoints, retention |
//! | 8 | [`participants`] | the drivers: what a peer publishes, how a validator closes a round |
//! | 9 | [`sim`] | whole runs on virtual time, with faults and attacks |
//!
//! To read how a round is decided, start at
//! [`participants::validator::Validator`], then [`gauntlet::Gauntlet`].

pub mod agreement;
pub mod bucket;
pub mod gauntlet;
pub mod history;
pub mod ledger;
pub mod membership;
pub mod objects;
pub mod participants;
pub mod primitives;
pub mod run;
#[cfg(feature = "testing")]
pub mod sim;
