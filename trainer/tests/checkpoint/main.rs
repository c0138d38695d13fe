//! Checkpoints: a folder is complete or missing, damage is detected, the newest are kept, and an
//! unreadable one is never removed.

#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod contents;
mod crashes;
mod damage;
mod faulty_disk;
mod retention;
mod samples;
