//! Batches that a thread reads ahead while the model computes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::cursor::Cursor;
use super::window_sampler::WindowSampler;
use crate::error::DataError;

/// The windows of one step, and the state of the sampler after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `rows` windows of `length` + 1 tokens, concatenated.
    pub tokens: Vec<u32>,
    /// Number of windows.
    pub rows: usize,
    /// Tokens in a window, without the one that follows it.
    pub length: usize,
    /// The state after this batch; a run that has used the batch resumes from it.
    pub cursor: Cursor,
}

/// A thread that reads a few batches ahead.
///
/// Dropping the loader ends the thread and waits for it. Unused batches are lost, which does no
/// harm: a checkpoint keeps the cursor of the last batch that was used.
#[derive(Debug)]
pub struct PrefetchLoader {
    /// Dropped before the thread is joined: the thread's next send then fails, and it ends.
    batches: Option<Receiver<Result<Batch, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl PrefetchLoader {
    /// Starts a thread that draws batches of `rows` windows, at most `ahead` of them in advance.
    pub fn start(sampler: WindowSampler, rows: usize, ahead: usize) -> Result<Self, DataError> {
        if rows == 0 {
            let (got, expected) = ("0".to_string(), "at least 1".to_string());
            return Err(DataError::Setting { name: "rows of a batch", got, expected });
        }
        // A bounded channel: it blocks the thread once enough batches are ready.
        let (sender, batches) = sync_channel(ahead);
        // Not a task of the rayon pool, because it mostly waits for the disk and for the channel.
        let thread = std::thread::Builder::new()
            .name("loader".to_string())
            .spawn(move || deliver(sampler, rows, &sender))
            .map_err(|_| DataError::LoaderStopped)?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// The next batch; waits until it is ready. After an error every further call is also an error.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let received = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        received.unwrap_or(Err(DataError::LoaderStopped))
    }
}

impl Drop for PrefetchLoader {
    fn drop(&mut self) {
        self.batches.take();
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of the thread.
            let _ = thread.join();
        }
    }
}

fn deliver(mut sampler: WindowSampler, rows: usize, sender: &SyncSender<Result<Batch, DataError>>) {
    loop {
        let batch = next_batch(&mut sampler, rows);
        // A failed sampler has not advanced, so it would fail again in the same way.
        let is_last = batch.is_err();
        if sender.send(batch).is_err() || is_last {
            return;
        }
    }
}

fn next_batch(sampler: &mut WindowSampler, rows: usize) -> Result<Batch, DataError> {
    let length = sampler.length();
    let mut tokens = Vec::with_capacity(rows * (length + 1));
    for _ in 0..rows {
        sampler.draw(&mut tokens)?;
    }
    Ok(Batch { tokens, rows, length, cursor: sampler.cursor().clone() })
}
