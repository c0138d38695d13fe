//! The output folder of a running preparation.

use std::path::Path;

use super::readers::DocumentPosition;
use super::resume_state::ResumeState;
use super::shard_builder::ShardBuilder;
use crate::dataset::{DatasetManifest, MANIFEST_FILE, Split, TokenType};
use crate::error::DataError;
use crate::io::{FileDigest, WriteTarget, write_bytes_atomically};
use crate::tokenizer::Tokenizer;

/// The tokens of one part of a document.
#[derive(Debug)]
pub(super) struct EncodedPart {
    pub(super) split: Split,
    pub(super) tokens: Vec<u32>,
    pub(super) text_bytes: u64,
}

/// Collects documents into shards, with one growing shard for each split.
///
/// The document that fills a shard finishes it, so no document continues in another shard. Each
/// time a shard is finished, the state and all growing shards are written too.
pub(super) struct OutputFolder<'a> {
    disk: &'a dyn WriteTarget,
    folder: &'a Path,
    tokenizer: &'a Tokenizer,
    shard_tokens: u64,
    growing: Vec<ShardBuilder>,
    state: ResumeState,
}

impl<'a> OutputFolder<'a> {
    /// Continues from a state, which can be the initial one.
    pub(super) fn restore(
        disk: &'a dyn WriteTarget,
        folder: &'a Path,
        tokenizer: &'a Tokenizer,
        shard_tokens: u64,
        state: ResumeState,
    ) -> Result<Self, DataError> {
        let vocab_size = tokenizer.vocab_size();
        let token_type = TokenType::for_vocabulary(vocab_size);
        let growing = Split::ALL.into_iter().map(|split| {
            match state.unfinished.iter().find(|record| record.split == split) {
                Some(record) => ShardBuilder::restore(folder, record, token_type, vocab_size),
                None => Ok(ShardBuilder::new(split, token_type)),
            }
        });
        let growing = growing.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { disk, folder, tokenizer, shard_tokens, growing, state })
    }

    /// The position in the inputs after the last document.
    pub(super) fn position(&self) -> DocumentPosition {
        self.state.position
    }

    /// Number of documents so far.
    pub(super) fn documents(&self) -> u64 {
        self.state.documents
    }

    /// Number of tokens so far, in both splits.
    pub(super) fn num_tokens(&self) -> u64 {
        let finished: u64 = self.state.shards.iter().map(|shard| shard.tokens).sum();
        finished + self.growing.iter().map(ShardBuilder::num_tokens).sum::<u64>()
    }

    /// Adds a document with all its parts; `after` is the position in the inputs after it.
    pub(super) fn add(
        &mut self,
        parts: &[EncodedPart],
        after: DocumentPosition,
    ) -> Result<(), DataError> {
        let end_of_text = self.tokenizer.end_of_text();
        for part in parts {
            for shard in self.growing.iter_mut().filter(|shard| shard.split() == part.split) {
                shard.push(&part.tokens, end_of_text, part.text_bytes);
            }
        }
        self.state.documents += 1;
        self.state.position = after;
        if self.growing.iter().any(|shard| shard.num_tokens() >= self.shard_tokens) {
            self.finish_shards(self.shard_tokens)?;
            self.save()?;
        }
        Ok(())
    }

    /// Writes the growing shards and then the manifest, and removes the resume state.
    pub(super) fn finish(mut self, recipe: FileDigest) -> Result<DatasetManifest, DataError> {
        self.finish_shards(1)?;
        let mut shards = self.state.shards;
        // A stable sort: within a split the shards stay in the order of their numbers.
        shards.sort_by_key(|shard| shard.split);
        let manifest = DatasetManifest::new(self.tokenizer, recipe, shards);
        let path = self.folder.join(MANIFEST_FILE);
        // Last of all files, because a folder with a manifest counts as finished.
        write_bytes_atomically(self.disk, &path, &manifest.to_bytes())
            .map_err(|source| DataError::write(&path, source))?;
        ResumeState::clear(self.folder)?;
        Ok(manifest)
    }

    /// Finishes every growing shard with at least `least_tokens` tokens.
    fn finish_shards(&mut self, least_tokens: u64) -> Result<(), DataError> {
        let token_type = TokenType::for_vocabulary(self.tokenizer.vocab_size());
        for shard in self.growing.iter_mut().filter(|shard| shard.num_tokens() >= least_tokens) {
            let split = shard.split();
            let number = self.state.shards.iter().filter(|record| record.split == split).count();
            // Five digits keep the shards in order in a listing sorted by name.
            let file = format!("{split}-{number:05}.safetensors");
            self.state.shards.push(shard.write(
                self.disk,
                self.folder,
                file,
                self.tokenizer.digest(),
            )?);
            *shard = ShardBuilder::new(split, token_type);
        }
        Ok(())
    }

    /// Writes the growing shards under temporary names, and the state that lists them.
    fn save(&mut self) -> Result<(), DataError> {
        let mut unfinished = Vec::new();
        // An empty shard is not saved: restoring one without a record gives an empty shard.
        for shard in self.growing.iter().filter(|shard| shard.num_tokens() > 0) {
            let file = self.state.unfinished_name(shard.split().name());
            unfinished.push(shard.write(self.disk, self.folder, file, self.tokenizer.digest())?);
        }
        self.state.unfinished = unfinished;
        self.state.write(self.disk, self.folder)
    }
}
