//! The program `covey`.
fn main() {}
