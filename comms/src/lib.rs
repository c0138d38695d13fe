//! How peers meet.
