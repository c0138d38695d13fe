//! How peers who do not know each other train one model: through a bucket, in rounds, without trust.
//!
//! - [`Identity`] is who a peer is; its public half, [`PeerId`], is the peer's name.
//! - [`Envelope`] wraps and signs everything that a peer writes; [`Seen`] notices who says two things at once.
//! - [`Key`] names every object in the bucket.
//! - [`Manifest`] says whose deltas count in a round, and counts itself with a [`Certificate`] of a [`Quorum`]; [`Lineage`]
//!   names the weights that follow from it, and [`Chain`] verifies both from genesis on.
//! - [`Run`] is an open run, [`Description`] what its peers agreed on; a [`Follower`] reads its rounds, a [`Member`] speaks
//!   in them, a [`Validator`] closes them together with others, an [`Audit`] holds them to what was signed and measured.
//! - [`Bucket`] is where all of it is kept; [`Clock`] is the time that everything which waits goes by.
//! - [`Server`] is a bucket that others reach over S3.
//! - [`gauntlet`] decides whose deltas are of use, and rates peers by what theirs did.
//! - [`ledger`] keeps who takes part, who validates and what validators found.
//! - [`Faulty`] makes any bucket as bad as real ones are on a bad day, from a seed; [`sim`] plays whole runs so.
//!
//! Nothing here names a tensor: what travels is bytes, so this builds without Burn and without the other crates. Secrets,
//! clock and storage are arguments.

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
pub mod sim;
