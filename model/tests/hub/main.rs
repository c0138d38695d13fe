//! Model folders: import of exports, forms of `config.json`, and errors of damaged folders.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built is a failed test")]

mod config;
mod damage;
mod fixture;
mod round_trip;
