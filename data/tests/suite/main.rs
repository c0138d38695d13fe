//! What the crate promises, by subject. One program, because linking it is what takes time.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

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
