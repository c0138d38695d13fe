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

mod bucket;
mod certificate;
mod chain;
mod checkpoint;
mod clock;
mod commitment;
mod delivery;
mod description;
mod digest;
mod envelope;
mod envelope_error;
mod error;
mod exclusion;
mod faults;
mod fetch;
mod follower;
mod hex;
mod identity;
mod key_file;
mod layout;
mod lineage;
mod manifest;
mod member;
mod outer;
mod part_name;
mod proceedings;
mod quorum;
mod random;
mod replay;
mod residence;
mod retention;
mod roll;
mod roster;
mod round;
mod rules;
mod run;
mod seat;
mod server;
mod validator;
mod virtual_clock;
mod vote;
mod wire;

pub mod gauntlet;
pub mod ledger;
pub mod sim;

pub use bucket::{
    Access, Bandwidth, BandwidthCap, Bucket, BucketError, ByteBudget, Creation, Line, Listed, Location, MAX_SKEW,
    MemoryBucket, Probe, Purse, Put, Retry, RetryPolicy, Secret, StoreBucket, Violation, check_conformance, open,
    probe, skew,
};
pub use certificate::Certificate;
pub use chain::{BrokenChain, Chain};
pub use checkpoint::{CheckpointDescription, CheckpointError, CheckpointPart};
pub use clock::{Clock, SystemClock, Timestamp, within};
pub use description::{Description, DescriptionError};
pub use digest::{Digest, NotHex, RunId};
pub use envelope::{Announcement, Author, Envelope, Expectation, Header, Kind, Subject};
pub use envelope_error::EnvelopeError;
pub use error::CommsError;
pub use exclusion::Exclusion;
pub use faults::{FaultRates, Faulty};
pub use follower::{Follower, Position};
pub use identity::{Domain, Identity, PeerId, Signature};
pub use key_file::IdentityError;
pub use layout::{Key, Prefix, UnknownKey};
pub use lineage::Lineage;
pub use manifest::{Grounds, Inclusion, MAX_PEERS, Manifest, ManifestError};
pub use member::{Member, Published};
pub use outer::{Clip, MeanOver, OuterSettings};
pub use quorum::Quorum;
pub use replay::{Admission, Seen};
pub use residence::Opener;
pub use roll::{Called, Roll, Rolls};
pub use round::Round;
pub use rules::Rules;
pub use run::Run;
pub use seat::Seat;
pub use server::{Bound, Server, ServerError, ServerOptions, peer_credentials};
pub use validator::{Audit, Audited, Closed, Registry, Validator};
pub use virtual_clock::VirtualClock;
pub use vote::Vote;
