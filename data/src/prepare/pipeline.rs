//! One run from inputs to a finished folder.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::output_folder::{EncodedPart, OutputFolder};
use super::progress::{Note, PrepareObserver, Progress};
use super::resume_state::ResumeState;
use super::split::TokenSplit;
use crate::dataset::{Dataset, DatasetManifest, MANIFEST_FILE};
use crate::error::DataError;
use crate::io::{FileDigest, FileSystem, WriteTarget};
use crate::prepare::readers::{DocumentPosition, Documents, InputFiles};
use crate::tokenizer::Tokenizer;

/// Changes whenever the same inputs would give other shards, so that no state of an older program is continued.
const RECIPE_VERSION: u32 = 1;

/// Text that each core gets at a time: a fraction of a second of work.
const BATCH_BYTES_PER_THREAD: usize = 1 << 18;

/// Settings that shape the shards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrepareOptions {
    /// A shard is finished as soon as it has this many tokens. It grows in memory: two or four bytes each.
    pub shard_tokens: u64,
    /// Share of the documents that is held out, at most one half; with fewer than 20 documents, the share at the end of
    /// each. Zero holds nothing out.
    pub held_out_fraction: f64,
    /// Seed of that choice.
    pub seed: u64,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self { shard_tokens: 1 << 26, held_out_fraction: 0.01, seed: 0 }
    }
}

/// What to prepare, how, and where.
pub struct Pipeline<'a> {
    /// The text.
    pub inputs: &'a InputFiles,
    /// Makes tokens of it; a copy goes into the folder.
    pub tokenizer: &'a Tokenizer,
    /// Made if it is not there. Files in it that are not ours are left alone.
    pub folder: &'a Path,
    /// Settings that shape the shards.
    pub options: PrepareOptions,
    /// Where files are written; tests use one that fills up.
    pub disk: &'a dyn WriteTarget,
}

/// The outcome of a preparation.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What the folder holds.
    pub manifest: DatasetManifest,
    /// False when the folder was finished before and nothing had to be done.
    pub written: bool,
}

/// A document on its way to the shards.
struct Document {
    text: String,
    /// The place in the inputs after it.
    behind: DocumentPosition,
    bytes_done: u64,
}

impl<'a> Pipeline<'a> {
    /// A preparation with default options on the file system.
    pub fn new(inputs: &'a InputFiles, tokenizer: &'a Tokenizer, folder: &'a Path) -> Self {
        Self { inputs, tokenizer, folder, options: PrepareOptions::default(), disk: &FileSystem }
    }

    /// Fills the folder, or continues to.
    ///
    /// Interrupted at any moment, another run with the same inputs continues after the last finished shard and ends
    /// with the same bytes. Other inputs start again; a folder that is finished with other ones is refused. Setting
    /// `stop` ends the run with [`DataError::Cancelled`] before the next document.
    pub fn run(
        &self,
        observer: &mut dyn PrepareObserver,
        stop: &AtomicBool,
    ) -> Result<Prepared, DataError> {
        self.options.check()?;
        let recipe = self.recipe()?;
        if let Some(manifest) = self.finished_before(recipe)? {
            return Ok(Prepared { manifest, written: false });
        }
        // Before anything is written: whether there is text at all, and whether the first of it can be read.
        let division = self.division()?;
        fs::create_dir_all(self.folder).map_err(|source| DataError::write(self.folder, source))?;
        self.tokenizer.save_on(self.disk, self.folder)?;
        let state = self.state(recipe, observer)?;
        let mut assembly = OutputFolder::restore(
            self.disk,
            self.folder,
            self.tokenizer,
            self.options.shard_tokens,
            state,
        )?;
        self.assemble(&mut assembly, &division, observer, stop)?;
        Ok(Prepared { manifest: assembly.finish(recipe)?, written: true })
    }

    /// Digest of everything that shapes the result.
    fn recipe(&self) -> Result<FileDigest, DataError> {
        let PrepareOptions { shard_tokens, held_out_fraction, seed } = self.options;
        let description = format!(
            "version {RECIPE_VERSION}\ntokenizer {}\ninputs {}\nshard tokens {shard_tokens}\nheld out {:016x}\nseed {seed}\n",
            self.tokenizer.digest(),
            self.inputs.digest()?,
            held_out_fraction.to_bits(),
        );
        Ok(FileDigest::of(description.as_bytes()))
    }

    /// The manifest, if the folder already holds exactly this; an error if it holds something else.
    fn finished_before(&self, recipe: FileDigest) -> Result<Option<DatasetManifest>, DataError> {
        if !self.folder.join(MANIFEST_FILE).exists() {
            return Ok(None);
        }
        let manifest = DatasetManifest::read(self.folder)?;
        if manifest.recipe == recipe {
            ResumeState::clear(self.folder)?;
            return Ok(Some(Dataset::open(self.folder)?.manifest().clone()));
        }
        let difference = match manifest.tokenizer == self.tokenizer.digest() {
            true => "made from other inputs or with other options",
            false => "made with another tokenizer",
        };
        Err(DataError::FolderTaken {
            folder: self.folder.into(),
            difference: difference.to_string(),
        })
    }

    fn division(&self) -> Result<TokenSplit, DataError> {
        let with_text = || {
            self.inputs.documents().filter(|text| text.as_ref().map_or(true, |text| has_text(text)))
        };
        if with_text().next().transpose()?.is_none() {
            let (files, skipped) = (self.inputs.num_files(), self.inputs.skipped());
            return Err(DataError::EmptyCorpus { files, skipped });
        }
        TokenSplit::plan(with_text(), self.options.held_out_fraction, self.options.seed)
    }

    /// Where to begin: after the last finished shard of this recipe, or at the beginning.
    fn state(
        &self,
        recipe: FileDigest,
        observer: &mut dyn PrepareObserver,
    ) -> Result<ResumeState, DataError> {
        match ResumeState::read(self.folder) {
            None => {}
            Some(Ok(state)) if state.recipe == recipe && state.is_intact(self.folder) => {
                observer.note(Note::Resumed { shards: state.shards.len() });
                return Ok(state);
            }
            Some(Ok(state)) => {
                observer.note(Note::StartedAgain);
                state.discard(self.folder)?;
            }
            Some(Err(_)) => {
                observer.note(Note::StartedAgain);
                ResumeState::clear(self.folder)?;
            }
        }
        Ok(ResumeState::new(recipe))
    }

    /// Encodes one batch while the next one is read.
    fn assemble(
        &self,
        assembly: &mut OutputFolder<'_>,
        division: &TokenSplit,
        observer: &mut dyn PrepareObserver,
        stop: &AtomicBool,
    ) -> Result<(), DataError> {
        let bytes_total = self.inputs.bytes();
        let mut documents = Documents::starting_at(self.inputs, assembly.position())?;
        let mut batch = read_batch(&mut documents)?;
        while !batch.is_empty() {
            let first = assembly.documents();
            let (encoded, next) = rayon::join(
                || self.encode(&batch, first, division, stop),
                || read_batch(&mut documents),
            );
            for (document, parts) in batch.iter().zip(encoded?) {
                assembly.add(&parts, document.behind)?;
            }
            let bytes_done = batch.last().map_or(0, |document| document.bytes_done);
            let (documents, tokens) = (assembly.documents(), assembly.num_tokens());
            observer.progress(Progress { bytes_done, bytes_total, documents, tokens });
            batch = next?;
        }
        Ok(())
    }

    fn encode(
        &self,
        batch: &[Document],
        first: u64,
        division: &TokenSplit,
        stop: &AtomicBool,
    ) -> Result<Vec<Vec<EncodedPart>>, DataError> {
        let encode_document = |(index, document): (usize, &Document)| {
            if stop.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            let parts = division.divide(first + index as u64, &document.text).into_iter();
            parts
                .map(|(split, text)| {
                    let tokens = self.tokenizer.encode(text)?;
                    Ok(EncodedPart { split, tokens, text_bytes: text.len() as u64 })
                })
                .collect()
        };
        batch.par_iter().enumerate().map(encode_document).collect()
    }
}

impl PrepareOptions {
    fn check(&self) -> Result<(), DataError> {
        if self.shard_tokens == 0 {
            let expected = "at least 1".to_string();
            return Err(DataError::Setting {
                name: "tokens of a shard",
                got: "0".to_string(),
                expected,
            });
        }
        if !(0.0..=0.5).contains(&self.held_out_fraction) {
            let (got, expected) =
                (self.held_out_fraction.to_string(), "between 0 and 0.5".to_string());
            return Err(DataError::Setting { name: "held-out fraction", got, expected });
        }
        Ok(())
    }
}

/// Reads documents with text until there is enough for every core; empty at the end of the inputs.
fn read_batch(documents: &mut Documents<'_>) -> Result<Vec<Document>, DataError> {
    let enough = BATCH_BYTES_PER_THREAD * rayon::current_num_threads();
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < enough {
        let Some(text) = documents.next().transpose()? else { break };
        if has_text(&text) {
            bytes += text.len();
            batch.push(Document {
                text,
                behind: documents.place(),
                bytes_done: documents.bytes_read(),
            });
        }
    }
    Ok(batch)
}

/// Documents of nothing but white space teach nothing and are passed over.
fn has_text(text: &str) -> bool {
    !text.trim().is_empty()
}
