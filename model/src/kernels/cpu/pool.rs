//! Buffers that are used again instead of being allocated again.
//!
//! A step needs the same few sizes every time. Fresh buffers would have to be
//! zeroed and faulted in by the kernel, which costs more than many of the
//! loops that fill them.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sizes kept at most; a program that uses more is not repeating itself, so keeping them would only grow memory.
const MAX_SIZES: usize = 48;

/// Free buffers by length.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Vec<f32>>>>,
}

impl Pool {
    /// A buffer of `length` elements with whatever its last user left in it.
    pub(super) fn take(&self, length: usize) -> Vec<f32> {
        let reused = self.lock().get_mut(&length).and_then(Vec::pop);
        reused.unwrap_or_else(|| vec![0.0; length])
    }

    /// A buffer that returns by itself.
    pub(super) fn scratch(&self, length: usize) -> Scratch<'_> {
        Scratch { pool: self, buffer: self.take(length) }
    }

    /// Gives a buffer back.
    pub(super) fn give(&self, buffer: Vec<f32>) {
        let mut free = self.lock();
        if free.len() >= MAX_SIZES && !free.contains_key(&buffer.len()) {
            free.clear();
        }
        free.entry(buffer.len()).or_default().push(buffer);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<Vec<f32>>>> {
        // A panic elsewhere cannot leave the map half-changed.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pooled buffer for the length of a scope.
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
