//! Laws of checkpoints: whole or not there, damage is noticed, the newest are kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contents;
mod crashes;
mod damage;
mod faulty_disk;
mod retention;
mod samples;
