//! The inner optimizer.
