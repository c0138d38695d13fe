//! The steps from input files to a finished dataset folder.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use rayon::prelude::*;

use super::output_folder::{EncodedPart, OutputFolder};
use super::progress::{Note, PrepareObserver, Progress};
use super::readers::{DocumentPosition, Documents, InputFiles};
use super::resume_state::{ResumeState, StoredState};
use super::split::TokenSplit;
use crate::dataset::{Dataset, DatasetManifest, MANIFEST_FILE, Split};
use crate::error::DataError;
use crate::io::{FileDigest, FileSystem, WriteTarget};
use crate::tokenizer::Tokenizer;

/// Version of the way from inputs to shards. It must change whenever equal inputs would give other
/// shards; the state of an older version is then discarded.
const RECIPE_VERSION: u32 = 1;

/// Bytes of text in a batch for each core: a fraction of a second of work, so a stop takes effect
/// soon and progress is smooth.
const BATCH_BYTES_PER_THREAD: usize = 1 << 18;

/// Settings that affect the shards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrepareOptions {
    /// A shard is finished as soon as it has this many tokens. It grows in memory, at two or four
    /// bytes a token.
    pub shard_tokens: u64,
    /// Held-out share of the documents, at most one half; with fewer than 20 documents the share of
    /// each. Zero holds out no text.
    pub held_out_fraction: f64,
    /// Seed of the choice of held-out documents.
    pub seed: u64,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self { shard_tokens: 1 << 26, held_out_fraction: 0.01, seed: 0 }
    }
}

/// A preparation: its inputs, its settings, and its output folder.
pub struct Pipeline<'a> {
    /// The files with the text.
    pub inputs: &'a InputFiles,
    /// The tokenizer; a copy is written to the folder.
    pub tokenizer: &'a Tokenizer,
    /// The output folder, created if necessary. Files of other programs in it are not changed.
    pub folder: &'a Path,
    /// Settings that affect the shards.
    pub options: PrepareOptions,
    /// The place where files are written; tests use one that fills up.
    pub disk: &'a dyn WriteTarget,
}

/// The outcome of a preparation.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The manifest of the folder.
    pub manifest: DatasetManifest,
    /// False if the folder was already finished and no file was written.
    pub written: bool,
}

/// A document that has been read but not encoded.
struct Document {
    text: String,
    /// The position in the inputs after it.
    after: DocumentPosition,
    /// Bytes of the inputs up to that position.
    bytes_done: u64,
}

impl<'a> Pipeline<'a> {
    /// A preparation with default options on the file system.
    pub fn new(inputs: &'a InputFiles, tokenizer: &'a Tokenizer, folder: &'a Path) -> Self {
        Self { inputs, tokenizer, folder, options: PrepareOptions::default(), disk: &FileSystem }
    }

    /// Fills the folder, or continues an interrupted run.
    ///
    /// A run can be interrupted at any time: another run with the same inputs continues after the
    /// last finished shard and gives the same bytes. With other inputs it starts again.
    ///
    /// # Errors
    /// [`DataError::FolderTaken`] if the folder is finished and was made from other inputs.
    /// [`DataError::Cancelled`] before the next document once `stop` is set.
    /// [`DataError::ResumeStateUnreadable`] if an interrupted run exists but cannot be read.
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
        // Before the first write: inputs that are empty or cannot be read must leave no folder.
        let rule = self.split_rule()?;
        fs::create_dir_all(self.folder).map_err(|source| DataError::write(self.folder, source))?;
        // Before the shards: their tokens are useless without the vocabulary.
        self.tokenizer.save_on(self.disk, self.folder)?;
        let state = self.state(recipe, observer)?;
        let mut output = OutputFolder::restore(
            self.disk,
            self.folder,
            self.tokenizer,
            self.options.shard_tokens,
            state,
        )?;
        self.fill(&mut output, &rule, observer, stop)?;
        Ok(Prepared { manifest: output.finish(recipe)?, written: true })
    }

    /// Digest of all inputs and settings that affect the result.
    fn recipe(&self) -> Result<FileDigest, DataError> {
        let PrepareOptions { shard_tokens, held_out_fraction, seed } = self.options;
        let description = format!(
            "version {RECIPE_VERSION}\ntokenizer {}\ninputs {}\nshard tokens {shard_tokens}\n\
             held out {:016x}\nseed {seed}\n",
            self.tokenizer.digest(),
            self.inputs.digest()?,
            // As bits: the digest must not depend on the way in which a float is printed.
            held_out_fraction.to_bits(),
        );
        Ok(FileDigest::of(description.as_bytes()))
    }

    /// The manifest of a finished folder, if there is one; an error if it has other inputs.
    fn finished_before(&self, recipe: FileDigest) -> Result<Option<DatasetManifest>, DataError> {
        if !exists(&self.folder.join(MANIFEST_FILE))? {
            return Ok(None);
        }
        let manifest = DatasetManifest::read(self.folder)?;
        if manifest.recipe == recipe {
            // A run that was interrupted right after the manifest has left its state.
            ResumeState::clear(self.folder)?;
            return Ok(Some(Dataset::open(self.folder)?.manifest().clone()));
        }
        let difference = if manifest.tokenizer == self.tokenizer.digest() {
            "made from other inputs or with other options"
        } else {
            "made with another tokenizer"
        };
        let difference = difference.to_string();
        Err(DataError::FolderTaken { folder: self.folder.into(), difference })
    }

    fn split_rule(&self) -> Result<TokenSplit, DataError> {
        if self.documents_with_text().next().transpose()?.is_none() {
            let (files, skipped) = (self.inputs.num_files(), self.inputs.skipped());
            return Err(DataError::EmptyCorpus { files, skipped });
        }
        let PrepareOptions { held_out_fraction, seed, .. } = self.options;
        TokenSplit::plan(self.documents_with_text(), held_out_fraction, seed)
    }

    /// Reads the inputs from their beginning; errors are passed on.
    fn documents_with_text(&self) -> impl Iterator<Item = Result<String, DataError>> {
        self.inputs.documents().filter(|text| text.as_ref().map_or(true, |text| has_text(text)))
    }

    /// The state to start from: after the last finished shard of this recipe, or at the beginning.
    fn state(
        &self,
        recipe: FileDigest,
        observer: &mut dyn PrepareObserver,
    ) -> Result<ResumeState, DataError> {
        match ResumeState::read(self.folder)? {
            StoredState::Absent => {}
            StoredState::Present(state) => {
                if state.recipe == recipe && state.is_intact(self.folder)? {
                    observer.note(Note::Resumed { shards: state.shards.len() });
                    return Ok(state);
                }
                observer.note(Note::StartedAgain);
                state.discard(self.folder)?;
            }
            StoredState::Unusable => {
                observer.note(Note::StartedAgain);
                // The names of its shards are unknown; new shards of the same names replace them.
                ResumeState::clear(self.folder)?;
            }
        }
        Ok(ResumeState::new(recipe))
    }

    /// Encodes all documents, one batch while the next one is read.
    fn fill(
        &self,
        output: &mut OutputFolder<'_>,
        rule: &TokenSplit,
        observer: &mut dyn PrepareObserver,
        stop: &AtomicBool,
    ) -> Result<(), DataError> {
        let bytes_total = self.inputs.bytes();
        let mut documents = Documents::starting_at(self.inputs, output.position())?;
        let mut batch = read_batch(&mut documents)?;
        while !batch.is_empty() {
            let first = output.documents();
            // Reading is sequential and encoding parallel; together they use all cores.
            let (encoded, next) = rayon::join(
                || self.encode(&batch, first, rule, stop),
                || read_batch(&mut documents),
            );
            for (document, parts) in batch.iter().zip(encoded?) {
                output.add(&parts, document.after)?;
            }
            let bytes_done = batch.last().map_or(0, |document| document.bytes_done);
            let (documents, tokens) = (output.documents(), output.num_tokens());
            observer.progress(Progress { bytes_done, bytes_total, documents, tokens });
            // Only now: a document that cannot be read must not lose the batch before it.
            batch = next?;
        }
        Ok(())
    }

    /// Encodes a batch on all cores; `first` is the number of its first document.
    fn encode(
        &self,
        batch: &[Document],
        first: u64,
        rule: &TokenSplit,
        stop: &AtomicBool,
    ) -> Result<Vec<Vec<EncodedPart>>, DataError> {
        let numbered = batch.par_iter().enumerate();
        let encoded = numbered.map(|(index, document)| {
            if stop.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            let parts = rule.divide(first + index as u64, &document.text);
            parts.into_iter().map(|(split, text)| self.encode_part(split, text)).collect()
        });
        encoded.collect()
    }

    fn encode_part(&self, split: Split, text: &str) -> Result<EncodedPart, DataError> {
        let tokens = self.tokenizer.encode(text)?;
        Ok(EncodedPart { split, tokens, text_bytes: text.len() as u64 })
    }
}

impl PrepareOptions {
    fn check(&self) -> Result<(), DataError> {
        if self.shard_tokens == 0 {
            let (got, expected) = ("0".to_string(), "at least 1".to_string());
            return Err(DataError::Setting { name: "tokens of a shard", got, expected });
        }
        // This form also refuses NaN, for which every comparison is false.
        if !(0.0..=0.5).contains(&self.held_out_fraction) {
            let got = self.held_out_fraction.to_string();
            let expected = "between 0 and 0.5".to_string();
            return Err(DataError::Setting { name: "held-out fraction", got, expected });
        }
        Ok(())
    }
}

fn exists(path: &Path) -> Result<bool, DataError> {
    match path.try_exists() {
        // The output folder is a file. Creating the folder fails later with a better message.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        // Any other error could hide a finished dataset, which must not be overwritten.
        outcome => outcome.map_err(|source| DataError::read(path, source)),
    }
}

/// Reads documents with text until each core has enough; empty at the end of the inputs.
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
                after: documents.current_position(),
                bytes_done: documents.bytes_read(),
            });
        }
    }
    Ok(batch)
}

/// Returns false for documents of white space only; they are left out.
fn has_text(text: &str) -> bool {
    !text.trim().is_empty()
}
