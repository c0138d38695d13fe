//! Initial weights as a pure function of seed, parameter name and element index.
//!
//! No state is advanced and no weight is broadcast: each device computes the part that it owns. The
//! bits are the same on every machine, so this folder never calls `ln`, `cos` or `powf` of the
//! system. Start reading at [`Initializer`].
//!
//! ```rust
//! use covey_model::config::preset;
//! use covey_model::init::Initializer;
//!
//! let config = preset("tiny").expect("`tiny` is a preset");
//! let initializer = Initializer::new(42, &config);
//! let spec = config.parameters().embedding;
//! let whole = initializer.tensor(&spec);
//!
//! let mut part = [0.0; 3];
//! initializer.fill(&spec, 1000, &mut part);
//! assert_eq!(part, whole[1000..1003]);
//! ```

mod counter_rng;
mod initializer;
mod normal;

pub(crate) use self::counter_rng::CounterRng;
pub use self::initializer::Initializer;
