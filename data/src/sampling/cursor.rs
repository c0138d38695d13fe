//! Where sampling stands, small enough for every checkpoint.

use serde::{Deserialize, Serialize};

use super::mixture::Mixture;
use crate::dataset::Windows;
use crate::error::DataError;
use crate::io::FileDigest;

/// Version of the form below; another one is refused.
const VERSION: u32 = 1;

/// The state of a [`super::window_sampler::Sampler`]: whoever resumes from it draws exactly the samples that would have come next.
///
/// It names the data it counts in, so that it cannot be used with other data by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    version: u32,
    /// Seed of the orders and of the mixture.
    pub seed: u64,
    /// Tokens per window, without the one to predict last.
    pub length: usize,
    /// Samples drawn so far from all sources.
    pub samples: u64,
    /// One entry per source, in the order of the configuration.
    pub sources: Vec<SourceCursor>,
}

/// The state of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCursor {
    /// Digest of the dataset's manifest.
    pub dataset: FileDigest,
    /// Windows in one epoch.
    pub windows: u64,
    /// How often the source has been used up.
    pub epoch: u64,
    /// Windows drawn in this epoch, below `windows`.
    pub position: u64,
}

impl Cursor {
    /// The state after `samples` samples from the start, computed without drawing them.
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

    /// Refuses to count in other data than the cursor was made for.
    pub(crate) fn check<'a>(
        &self,
        windows: impl Iterator<Item = &'a Windows>,
    ) -> Result<(), DataError> {
        let windows: Vec<_> = windows.collect();
        let mismatch = |reason: String| Err(DataError::CursorMismatch { reason });
        if self.version != VERSION {
            return mismatch(format!(
                "it has version {}, this program reads version {VERSION}",
                self.version
            ));
        }
        if self.sources.len() != windows.len() {
            return mismatch(format!(
                "it counts in {} sources, there are {}",
                self.sources.len(),
                windows.len()
            ));
        }
        self.sources.iter().zip(windows).enumerate().try_for_each(|(index, (source, windows))| {
            source.check(windows, self.length).map_err(|reason| DataError::CursorMismatch {
                reason: format!("source {}: {reason}", index + 1),
            })
        })
    }
}

impl SourceCursor {
    fn check(&self, windows: &Windows, length: usize) -> Result<(), String> {
        if self.dataset != windows.dataset() {
            return Err(format!(
                "it counts in dataset {}, this is {}",
                self.dataset,
                windows.dataset()
            ));
        }
        if length != windows.length() {
            return Err(format!(
                "it counts windows of {length} tokens, these have {}",
                windows.length()
            ));
        }
        if self.windows != windows.count() || self.position >= self.windows {
            let (position, windows, count) = (self.position, self.windows, windows.count());
            return Err(format!("it stands at {position} of {windows} windows, there are {count}"));
        }
        Ok(())
    }
}
