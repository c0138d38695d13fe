//! Model folders: what is written is read, what is wrong is named.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built is a failed test")]

mod config;
mod damage;
mod fixture;
mod round_trip;
