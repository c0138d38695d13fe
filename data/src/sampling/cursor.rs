//! The position of a sampler in its sources, small enough for every checkpoint.

use serde::{Deserialize, Serialize};

use super::mixture::Mixture;
use crate::dataset::Windows;
use crate::error::DataError;
use crate::io::FileDigest;

/// Version of the serialised form; any other version is refused.
const VERSION: u32 = 1;

/// The state of a [`WindowSampler`](super::WindowSampler). A sampler that resumes from it draws
/// exactly the samples that would have come next.
///
/// It contains the digests of its datasets, so use with other data is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// A field of a later version must not be ignored: the sampler would draw other samples.
#[serde(deny_unknown_fields)]
pub struct Cursor {
    version: u32,
    /// Seed of the orders and of the mixture.
    pub seed: u64,
    /// Tokens in a window, without the one that follows it.
    pub length: usize,
    /// Samples drawn so far from all sources.
    pub samples: u64,
    /// One entry for each source, in the order of the configuration.
    pub sources: Vec<SourceCursor>,
}

/// The position in one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCursor {
    /// Digest of the dataset's manifest.
    pub dataset: FileDigest,
    /// Windows in one epoch.
    pub windows: u64,
    /// Number of completed passes over the source.
    pub epoch: u64,
    /// Windows drawn in this epoch, below `windows`.
    pub position: u64,
}

impl Cursor {
    /// The state after `samples` samples, computed without drawing them.
    pub(crate) fn at<'a>(
        windows: impl Iterator<Item = &'a Windows>,
        length: usize,
        mixture: &Mixture,
        seed: u64,
        samples: u64,
    ) -> Self {
        let drawn = mixture.drawn_before(samples);
        let sources = windows.zip(drawn).map(|(windows, drawn)| SourceCursor {
            dataset: windows.dataset(),
            windows: windows.count(),
            epoch: drawn / windows.count(),
            position: drawn % windows.count(),
        });
        Self { version: VERSION, seed, length, samples, sources: sources.collect() }
    }

    /// Returns an error if the cursor was made for other data.
    pub(crate) fn check<'a>(
        &self,
        windows: impl Iterator<Item = &'a Windows>,
    ) -> Result<(), DataError> {
        self.check_sources(&windows.collect::<Vec<_>>())
            .map_err(|reason| DataError::CursorMismatch { reason })
    }

    fn check_sources(&self, windows: &[&Windows]) -> Result<(), String> {
        if self.version != VERSION {
            let got = self.version;
            return Err(format!("it has version {got}, this program reads version {VERSION}"));
        }
        if self.sources.len() != windows.len() {
            let (got, count) = (self.sources.len(), windows.len());
            return Err(format!("it has {got} sources, there are {count}"));
        }
        for ((source, windows), number) in self.sources.iter().zip(windows).zip(1..) {
            source
                .check(windows, self.length)
                .map_err(|reason| format!("source {number}: {reason}"))?;
        }
        Ok(())
    }
}

impl SourceCursor {
    fn check(&self, windows: &Windows, length: usize) -> Result<(), String> {
        // The dataset comes first: if it differs, so do the counts below, and they explain nothing.
        if self.dataset != windows.dataset() {
            let (made_for, got) = (self.dataset, windows.dataset());
            return Err(format!("it was made for dataset {made_for}, this is {got}"));
        }
        if length != windows.length() {
            let got = windows.length();
            return Err(format!("it was made for windows of {length} tokens, these have {got}"));
        }
        // A cursor can come from an edited checkpoint; a position past the end would index past the
        // end of the permutation.
        if self.windows != windows.count() || self.position >= self.windows {
            let (position, windows, count) = (self.position, self.windows, windows.count());
            return Err(format!("it is at window {position} of {windows}, there are {count}"));
        }
        Ok(())
    }
}
