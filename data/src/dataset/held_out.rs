//! The held-out windows on which the loss of a model is measured.

use super::windows::Windows;
use crate::error::DataError;

/// A sample of the windows of a held-out split, evenly spaced and in the order of the split.
#[derive(Debug, Clone)]
pub struct HeldOutWindows {
    windows: Windows,
    chosen: u64,
    next: u64,
}

impl HeldOutWindows {
    pub(crate) fn new(windows: Windows, most: u64) -> Self {
        let chosen = windows.count().min(most);
        Self { windows, chosen, next: 0 }
    }

    /// Number of windows in the sample, including those already returned.
    pub fn count(&self) -> u64 {
        self.chosen
    }

    /// The index in the split of sample number `number`.
    fn index(&self, number: u64) -> u64 {
        // In 128 bits, because the product of two 64-bit counts overflows.
        (u128::from(number) * u128::from(self.windows.count()) / u128::from(self.chosen)) as u64
    }
}

impl Iterator for HeldOutWindows {
    type Item = Result<Vec<u32>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.chosen {
            return None;
        }
        let index = self.index(self.next);
        self.next += 1;
        let mut tokens = Vec::with_capacity(self.windows.length() + 1);
        Some(self.windows.read(index, &mut tokens).map(|()| tokens))
    }
}
