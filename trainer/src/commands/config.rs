//! `covey config`.
