//! How peers who do not know each other train one model: through a bucket, in rounds, without trust.
//!
//! Nothing is here yet: one machine trains alone so far. This crate will hold
//!
//! - the bucket (`s3://`, a folder, or memory) and the layout of its keys,
//! - signed envelopes around everything that a peer writes,
//! - rounds, their deadlines and their manifests,
//! - membership, the ledger, and the judging of contributions,
//! - a simulator that plays hundreds of peers in one process from one seed.
//!
//! Like `covey-data` it builds without Burn: what travels is bytes, and whoever moves them needs no tensors.
