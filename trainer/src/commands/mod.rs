//! The commands of `covey`, one file each.
//!
//! A command turns arguments into calls of the other folders and prints the results. Start with
//! [`dispatch::run`].
//!
//! ```
//! use clap::Parser;
//! use covey::cli::Cli;
//! use covey::commands::dispatch;
//!
//! dispatch::run(&Cli::try_parse_from(["covey", "config", "presets"])?)?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

pub(crate) mod bench;
mod bucket;
pub(crate) mod data;
pub(crate) mod demo;
pub mod dispatch;
pub mod error_report;
pub(crate) mod ledger;
pub(crate) mod machine;
pub(crate) mod model;
pub(crate) mod run;
