//! The configuration: one table of keys that parses, checks and documents every key.
//!
//! Start reading at `schema/keys` for the keys, and at [`layers::Layers`] for the way from files,
//! variables and flags to a checked [`schema::Config`]. `checks` holds the rules between keys and
//! the error messages; `run_scope` separates the keys of a distributed run from those of a
//! machine. This room does not print, and it starts nothing: it returns data and errors.

pub mod checks;
pub mod layers;
mod optimizer;
mod run_scope;
pub mod schema;
mod show;

pub use self::run_scope::SHARED_CONFIG;
pub(crate) use self::schema::current_path;
