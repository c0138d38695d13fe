//! Laws of the whole program, tested with the real binary.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

mod configuration;
mod devices;
mod distributed;
mod end_to_end;
mod faults;
mod output;
mod rejections;
mod resume;
mod support;
