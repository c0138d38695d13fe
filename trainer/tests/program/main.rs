//! Laws of the program as a whole, held against the real binary.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

mod configuration;
mod damage;
mod desk;
mod full_disk;
mod journey;
mod materials;
mod missing;
mod output;
mod refusals;
mod resume;
mod signals;
mod trained;
