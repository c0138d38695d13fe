//! Commands that prepare data.

pub(crate) mod prepare;
pub(crate) mod tokenizer;
