//! Commands that train or use a model.

pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod train;
