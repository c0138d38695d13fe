//! The keys of the configuration: types, ranges, defaults, presets, and the reference page.
//!
//! A key is one row in `keys`; parser, checks, `covey config keys` and `docs/config.md` follow
//! from it. The checked values are the structs in `sections`. This folder reads no files, no
//! environment and no command line: that is done by [`layers`](super::layers).
//!
//! ```rust
//! use covey::config::schema::{ConfigKey, KeyScope};
//!
//! let key = ConfigKey::named("rounds.commit_deadline").expect("is in the table");
//! assert_eq!(key.variable(), "COVEY_ROUNDS__COMMIT_DEADLINE");
//! assert_eq!((key.scope, key.unit), (KeyScope::Run, "seconds"));
//! ```

mod fields;
mod keys;
pub(crate) mod presets;
mod reference;
mod schema;
mod sections;
mod shape;
mod value_type;

pub use self::keys::KEYS;
pub use self::presets::preset_table;
pub use self::reference::{key_list, markdown};
pub use self::schema::{ConfigKey, Fallback, GROUPS, KeyScope};
pub(crate) use self::schema::{Naming, current_path, variable};
pub use self::sections::{
    CheckpointConfig, CheckpointedLayers, CommsConfig, Config, DataConfig, ExchangeConfig,
    MemoryConfig, ModelChoice, OptimConfig, RoundsConfig, RunConfig, ScheduleConfig, ScheduleKind,
    Source, TrainConfig,
};
pub use self::shape::{NetworkShape, RopeScaling};
pub use self::value_type::{Field, RangeBound, ValueType};
