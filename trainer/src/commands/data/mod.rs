//! Commands on tokenizers and datasets.

pub(crate) mod prepare;
pub(crate) mod tokenizer;
