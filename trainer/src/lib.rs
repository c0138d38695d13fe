//! The program `covey`, as a library so that its parts can be tested.

pub mod cli;
pub mod commands;
pub mod config;
pub mod eval;
pub mod generate;
pub mod run;
pub mod system;
pub mod training;
