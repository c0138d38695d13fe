//! Initial weights as a pure function of seed, parameter name and index.

mod counter_rng;
mod initializer;
mod normal;

pub(crate) use self::counter_rng::CounterRng;
pub use self::initializer::Initializer;
