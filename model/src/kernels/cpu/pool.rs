//! Pool of buffers.
//!
//! Each training step needs buffers of the same few sizes. The operating system would zero and map
//! the pages of fresh ones, which costs more time than many of the loops that fill them.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most sizes in the pool. A program with more sizes does not repeat them, and the pool would only
/// grow.
const MAX_SIZES: usize = 48;

/// Free buffers by length.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Vec<f32>>>>,
}

impl Pool {
    /// A buffer of `length` elements with unspecified content.
    pub(super) fn take(&self, length: usize) -> Vec<f32> {
        let reused = self.lock().get_mut(&length).and_then(Vec::pop);
        reused.unwrap_or_else(|| vec![0.0; length])
    }

    /// A buffer that returns to the pool when it is dropped.
    pub(super) fn scratch(&self, length: usize) -> Scratch<'_> {
        Scratch { pool: self, buffer: self.take(length) }
    }

    /// Returns a buffer to the pool.
    pub(super) fn give(&self, buffer: Vec<f32>) {
        let mut free = self.lock();
        if free.len() >= MAX_SIZES && !free.contains_key(&buffer.len()) {
            // All, not the least recently used: it happens when the shape of batches changes, and
            // then most old sizes are useless.
            free.clear();
        }
        free.entry(buffer.len()).or_default().push(buffer);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<Vec<f32>>>> {
        // No code panics while it holds the lock, so a poisoned map is still consistent.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer of the pool for the duration of a scope.
pub(super) struct Scratch<'a> {
    pool: &'a Pool,
    buffer: Vec<f32>,
}

impl Deref for Scratch<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer
    }
}

impl DerefMut for Scratch<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffer));
    }
}
