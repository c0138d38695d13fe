//! The program `covey`, as a library for its tests.
//!
//! A room imports only from rooms on lower floors; `scripts/check_house.py` reads this table.
//!
//! | floor | rooms | what they hold |
//! |---|---|---|
//! | 1 | [`system`] | what this machine offers: devices, signals, terminal, async runtime |
//! | 2 | [`config`], [`cli`], [`eval`], [`generate`] | settings, flags, held-out loss, text |
//! | 3 | [`training`] | training on one machine: loop, learner, plan, checkpoints |
//! | 4 | [`run`] | a distributed run, seen from one machine: peer and validator |
//! | 5 | [`commands`] | the commands, one file each |

pub mod cli;
pub mod commands;
pub mod config;
pub mod eval;
pub mod generate;
pub mod run;
pub mod system;
pub mod training;
