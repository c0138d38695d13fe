//! The conversion between a delta and its bytes: entropy-coded positions and 2-bit codes.
//!
//! The format is specified in `docs/protocol.md`. There is exactly one encoding of each delta, and
//! a decoder trusts no number of a payload. The folder never decides what a delta contains: that is
//! [`sparseloco`](crate::sparseloco).
//!
//! Start with [`Codec`] (header, records, segments), then `segment` (the entropy coder) and
//! `gap_model` (the statistics of positions).
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use covey_optim::codec::Codec;
//! use covey_optim::sparseloco::{Compressor, Profile, Schema};
//!
//! let schema = Arc::new(Schema::new(Profile::Covey, 64, [("weight", &[64, 64][..])])?);
//! let pseudo_gradient: Vec<f32> = (0..64 * 64).map(|index| index as f32 * 1e-6).collect();
//! let delta = Compressor::new(Arc::clone(&schema), 0.95).compress(&[&pseudo_gradient])?;
//!
//! let codec = Codec::new(schema);
//! let bytes = codec.encode(&delta)?;
//! assert!(bytes.len() <= codec.max_len());
//! assert_eq!(codec.decode(&bytes)?, delta);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod byte_reader;
mod code_model;
mod codec;
mod error;
mod gap_model;
mod rans;
mod record;
mod segment;
mod statistics;

pub use self::codec::Codec;
pub use self::error::DecodeError;
pub use self::statistics::Statistics;
