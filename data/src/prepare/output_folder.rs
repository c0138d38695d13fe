//! The output folder while it fills with shards.

use std::path::Path;

use super::resume_state::ResumeState;
use super::shard_builder::ShardBuilder;
use crate::dataset::{DatasetManifest, MANIFEST_FILE, Split, TokenType};
use crate::error::DataError;
use crate::io::{FileDigest, WriteTarget, write_bytes_atomically};
use crate::prepare::readers::DocumentPosition;
use crate::tokenizer::Tokenizer;

/// The tokens of a part of a document.
#[derive(Debug)]
pub(super) struct EncodedPart {
    pub(super) split: Split,
    pub(super) tokens: Vec<u32>,
    pub(super) text_bytes: u64,
}

/// Collects documents into shards, one growing shard per split.
///
/// A shard is finished by the document that fills it, so documents are never divided. With every finished shard the
/// whole state goes to the disk.
pub(super) struct OutputFolder<'a> {
    disk: &'a dyn WriteTarget,
    folder: &'a Path,
    tokenizer: &'a Tokenizer,
    shard_tokens: u64,
    growing: Vec<ShardBuilder>,
    state: ResumeState,
}

impl<'a> OutputFolder<'a> {
    /// Continues from a state, which may be that of a beginning.
    pub(super) fn restore(
        disk: &'a dyn WriteTarget,
        folder: &'a Path,
        tokenizer: &'a Tokenizer,
        shard_tokens: u64,
        state: ResumeState,
    ) -> Result<Self, DataError> {
        let token_type = TokenType::for_vocabulary(tokenizer.vocab_size());
        let restored = |split| match state.unfinished.iter().find(|record| record.split == split) {
            Some(record) => {
                ShardBuilder::restore(folder, record, token_type, tokenizer.vocab_size())
            }
            None => Ok(ShardBuilder::new(split, token_type)),
        };
        let growing: Result<Vec<_>, _> = Split::ALL.into_iter().map(restored).collect();
        Ok(Self { disk, folder, tokenizer, shard_tokens, growing: growing?, state })
    }

    /// Where to read on.
    pub(super) fn position(&self) -> DocumentPosition {
        self.state.position
    }

    /// Documents taken so far.
    pub(super) fn documents(&self) -> u64 {
        self.state.documents
    }

    /// Tokens taken so far.
    pub(super) fn num_tokens(&self) -> u64 {
        let finished: u64 = self.state.shards.iter().map(|shard| shard.tokens).sum();
        finished + self.growing.iter().map(ShardBuilder::num_tokens).sum::<u64>()
    }

    /// Takes a document with all its parts; `behind` is the place in the inputs after it.
    pub(super) fn add(
        &mut self,
        parts: &[EncodedPart],
        behind: DocumentPosition,
    ) -> Result<(), DataError> {
        let end_of_text = self.tokenizer.end_of_text();
        for part in parts {
            for shard in self.growing.iter_mut().filter(|shard| shard.split() == part.split) {
                shard.push(&part.tokens, end_of_text, part.text_bytes);
            }
        }
        self.state.documents += 1;
        self.state.position = behind;
        let full = |shard: &ShardBuilder| shard.num_tokens() >= self.shard_tokens;
        match self.growing.iter().any(full) {
            true => self.finish_shards(self.shard_tokens).and_then(|()| self.save()),
            false => Ok(()),
        }
    }

    /// Writes what is left, then the manifest, and removes the traces of the work.
    pub(super) fn finish(mut self, recipe: FileDigest) -> Result<DatasetManifest, DataError> {
        self.finish_shards(1)?;
        let mut shards = self.state.shards;
        shards.sort_by_key(|shard| shard.split);
        let manifest = DatasetManifest::new(self.tokenizer, recipe, shards);
        write_bytes_atomically(self.disk, &self.folder.join(MANIFEST_FILE), &manifest.to_bytes())?;
        ResumeState::clear(self.folder)?;
        Ok(manifest)
    }

    /// Writes every growing shard with at least so many tokens.
    fn finish_shards(&mut self, least_tokens: u64) -> Result<(), DataError> {
        let token_type = TokenType::for_vocabulary(self.tokenizer.vocab_size());
        for shard in self.growing.iter_mut().filter(|shard| shard.num_tokens() >= least_tokens) {
            let split = shard.split();
            let number = self.state.shards.iter().filter(|record| record.split == split).count();
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

    fn save(&mut self) -> Result<(), DataError> {
        let mut unfinished = Vec::new();
        for shard in self.growing.iter().filter(|shard| shard.num_tokens() > 0) {
            let file = self.state.unfinished_name(shard.split().name());
            unfinished.push(shard.write(self.disk, self.folder, file, self.tokenizer.digest())?);
        }
        self.state.unfinished = unfinished;
        self.state.write(self.disk, self.folder)
    }
}
