//! The keys of the configuration: types, sections, presets, and the reference page.

pub(crate) mod presets;
mod reference;
mod schema;
mod sections;
mod shape;
mod value_type;

pub use self::presets::preset_table;
pub use self::reference::{key_list, markdown};
pub use self::schema::{Fallback, GROUPS, KEYS, Key};
pub use self::sections::{
    AnnealConfig, CheckpointConfig, CommsConfig, Config, DataConfig, ExchangeConfig, FlatWindow, MemoryConfig,
    ModelChoice, OptimConfig, RecomputeKind, Rewind, RoundsConfig, RunConfig, ScheduleConfig, ScheduleKind, Source,
    TrainConfig,
};
pub use self::shape::{RopeScaling, Shape};
pub use self::value_type::{Bound, Field, Kind};
