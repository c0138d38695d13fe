//! The layers of a configuration: defaults, preset, file, environment, flags and `--set`.
//!
//! [`Layers`] collects them as written, each value with its [`Origin`]; [`Layers::resolve`] merges
//! them and returns a checked [`Config`](super::schema::Config). Nothing here prints: problems and
//! notes about renamed keys are returned to the caller. Start reading at `layers`, then `resolved`.
//!
//! ```rust
//! use std::path::Path;
//!
//! use covey::config::layers::{Layers, Purpose};
//!
//! let layers = Layers::new()
//!     .text("train.steps = 500\noptim.beta1 = 0.8", Path::new("run.toml"))
//!     .set("train.steps=600");
//! let resolved = layers.resolve(Purpose::Show).expect("there are no problems");
//! assert_eq!((resolved.config.train.steps, resolved.config.optim.beta1), (600, 0.8));
//! assert_eq!(resolved.origin("optim.beta1").expect("has a value").to_string(), "run.toml:2");
//! ```

pub(crate) mod derived;
pub(crate) mod document;
mod layer;
mod layers;
mod origin;
mod resolved;
mod value;

pub use self::derived::Checked;
pub use self::layer::RenamedKey;
pub(crate) use self::layer::{Findings, Layer};
pub use self::layers::{Layers, Purpose, RESERVED_VARIABLES};
pub use self::origin::Origin;
pub(crate) use self::resolved::Origins;
pub use self::resolved::Resolved;
pub use self::value::{ConfigEntry, Value};
pub(crate) use self::value::{bracketed, number, quoted};
