//! Progress reports of a running preparation.

/// The progress of a preparation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the inputs that have been processed, before decompression.
    pub bytes_done: u64,
    /// Bytes of all inputs, before decompression.
    pub bytes_total: u64,
    /// Documents with text so far.
    pub documents: u64,
    /// Tokens so far, in both splits.
    pub tokens: u64,
}

/// An event that deserves a line to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// An interrupted preparation continues.
    Resumed {
        /// Number of shards finished before the interruption.
        shards: usize,
    },
    /// An interrupted preparation of something else, or a damaged one, was discarded.
    StartedAgain,
}

/// A receiver of progress, such as a progress bar. `()` ignores all reports.
pub trait PrepareObserver {
    /// Called after every batch, several times a second.
    fn progress(&mut self, _progress: Progress) {}

    /// Called before the first batch if there is a note.
    fn note(&mut self, _note: Note) {}
}

impl PrepareObserver for () {}
