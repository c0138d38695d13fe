//! The program `covey`, as a library so that its parts can be tested.

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod common_run;
pub mod config;
pub mod cuda_probe;
pub mod device;
pub mod diagnostics;
pub mod evaluation;
pub mod interrupt;
pub mod learner;
pub mod metrics;
pub mod model_folder;
pub mod plan;
pub mod progress;
pub mod round_loop;
pub mod run;
pub mod writing;
