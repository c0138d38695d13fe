//! The keys of the configuration: types, sections, presets, and the reference page.

pub(crate) mod presets;
mod reference;
mod schema;
mod sections;
mod shape;
mod value_type;

pub use self::presets::preset_table;
pub use self::reference::{key_list, markdown};
pub use self::schema::{ConfigKey, Fallback, GROUPS, KEYS};
pub use self::sections::{
    AnnealConfig, CheckpointConfig, CommsConfig, Config, DataConfig, ExchangeConfig,
    FlatWindowConfig, MemoryConfig, ModelChoice, OptimConfig, RecomputeKind, RewindConfig,
    RoundsConfig, RunConfig, ScheduleConfig, ScheduleKind, Source, TrainConfig,
};
pub use self::shape::{NetworkShape, RopeScaling};
pub use self::value_type::{Field, RangeBound, ValueType};
