//! Laws of the program as a whole, held against the real binary.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

mod common_run;
mod configuration;
mod damage;
mod desk;
mod devices;
mod full_disk;
mod journey;
mod ledger;
mod materials;
mod missing;
mod output;
mod quorum;
mod refusals;
mod resume;
mod served;
mod signals;
mod together;
mod together_refusals;
mod trained;
