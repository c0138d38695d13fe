//! The configuration: one schema that parses, checks and documents every key.

pub mod checks;
pub mod layers;
mod optimizer;
mod run_scope;
pub mod schema;
mod show;

pub use self::run_scope::SHARED_CONFIG;
