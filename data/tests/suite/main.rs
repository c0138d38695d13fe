//! The laws of the crate by subject, in one program because linking takes most of the time.

#![expect(clippy::unwrap_used, reason = "a test without its fixtures has failed")]

mod assigning;
mod damage;
mod disk_full;
mod fixture;
mod formats;
mod interruption;
mod loading;
mod sampling;
mod splits;
mod tokenizers;
