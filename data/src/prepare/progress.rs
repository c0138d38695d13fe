//! What a preparation tells while it runs.

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the inputs that are done, compressed ones as they are.
    pub bytes_done: u64,
    /// Bytes of all inputs.
    pub bytes_total: u64,
    /// Documents with text so far.
    pub documents: u64,
    /// Tokens so far, in both splits.
    pub tokens: u64,
}

/// Something worth a line to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// An interrupted preparation goes on.
    Resumed {
        /// Shards that were finished before.
        shards: usize,
    },
    /// The folder holds an interrupted preparation of something else, or a damaged one; it is discarded.
    StartedAgain,
}

/// Whoever draws the progress bar. `()` listens to nothing.
pub trait PrepareObserver {
    /// Called several times a second.
    fn progress(&mut self, _progress: Progress) {}

    /// Called at the beginning, if there is something to say.
    fn note(&mut self, _note: Note) {}
}

impl PrepareObserver for () {}
