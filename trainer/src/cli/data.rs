//! Commands that prepare training data.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Subcommands of `covey tokenizer`.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train a byte-level BPE tokenizer on text.
    Train(TokenizerTrainArgs),
}

/// Flags of `covey tokenizer train`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey tokenizer train books/ --vocab-size 8192 \
                        --output tokenizer.json")]
pub struct TokenizerTrainArgs {
    /// Files and folders of .txt, .jsonl, .jsonl.zst and .parquet.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Size of the vocabulary, including special tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    pub vocab_size: usize,
    /// File to write.
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    pub output: PathBuf,
    /// Field or column that contains the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub text_field: String,
}

/// Flags of `covey prepare`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey prepare books/ --tokenizer tokenizer.json \
                        --output prepared/books")]
pub struct PrepareArgs {
    /// Files and folders of .txt, .jsonl, .jsonl.zst and .parquet.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Any `tokenizer.json`.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
    /// Folder to write; an interrupted one is completed.
    #[arg(long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// Share of the documents to hold out from training, from 0 to 1.
    // Negative numbers are let through for a message about the range, not about an unknown flag.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, allow_negative_numbers = true)]
    pub held_out: f64,
    /// Tokens per shard.
    #[arg(long, value_name = "TOKENS", default_value_t = 16_777_216)]
    pub shard_tokens: usize,
    /// Field or column that contains the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub text_field: String,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}
