//! Batches made ready on a thread while the model computes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::cursor::Cursor;
use super::window_sampler::WindowSampler;
use crate::error::DataError;

/// Windows for one step, and where the sampler stands behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `rows` windows of `length` + 1 tokens, one behind the other.
    pub tokens: Vec<u32>,
    /// Number of windows.
    pub rows: usize,
    /// Tokens per window, without the one that follows it.
    pub length: usize,
    /// State after this batch: a run that has used the batch resumes from here.
    pub cursor: Cursor,
}

/// A thread that keeps a few batches ahead.
///
/// Dropping the loader ends the thread and waits for it. Batches that nobody took are lost, which is harmless: the
/// cursor to keep is that of the last batch used.
#[derive(Debug)]
pub struct PrefetchLoader {
    /// Emptied first on drop, which makes the thread's next delivery fail.
    batches: Option<Receiver<Result<Batch, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl PrefetchLoader {
    /// Starts to draw batches of `rows` windows, at most `ahead` of them before they are wanted.
    pub fn start(sampler: WindowSampler, rows: usize, ahead: usize) -> Result<Self, DataError> {
        if rows == 0 {
            let expected = "at least 1".to_string();
            return Err(DataError::Setting {
                name: "rows of a batch",
                got: "0".to_string(),
                expected,
            });
        }
        let (sender, batches) = sync_channel(ahead);
        let thread = std::thread::Builder::new()
            .name("loader".to_string())
            .spawn(move || deliver(sampler, rows, &sender))
            .map_err(|_| DataError::LoaderStopped)?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// The next batch; waits for it if need be. After an error every further call is an error too.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let received = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        received.unwrap_or(Err(DataError::LoaderStopped))
    }
}

impl Drop for PrefetchLoader {
    fn drop(&mut self) {
        self.batches.take();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

fn deliver(mut sampler: WindowSampler, rows: usize, sender: &SyncSender<Result<Batch, DataError>>) {
    loop {
        let batch = next_batch(&mut sampler, rows);
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
