//! What a run is told, from five places, checked as a whole before work starts.
//!
//! Values are layered: defaults, then the preset, the TOML file, `COVEY_*`
//! variables, and the command line; the later layer wins, key by key. The
//! *written* form ([`Layers`]) remembers where every value came from; the
//! *meant* form ([`Config`]) is plain data that the rest of the program trusts.
//!
//! One table, [`KEYS`], says of every key what it is: from it come reading,
//! error messages, `covey config show` and the reference in `docs/config.md`.

mod derived;
mod document;
mod error;
mod kind;
mod layers;
mod optimizer;
mod origin;
mod presets;
mod problem;
mod reference;
mod relations;
mod resolved;
mod schema;
mod sections;
mod shape;
mod shared;
mod show;
mod suggestion;
mod value;

pub use derived::Checked;
pub use error::ConfigError;
pub use kind::{Bound, Field, Kind};
pub use layers::{Layers, Purpose, RESERVED_VARIABLES};
pub use origin::Origin;
pub use presets::preset_table;
pub use problem::{Problem, Problems};
pub use reference::{key_list, markdown};
pub use resolved::Resolved;
pub use schema::{Fallback, GROUPS, KEYS, Key};
pub use sections::{
    AnnealConfig, CheckpointConfig, CommsConfig, Config, DataConfig, ExchangeConfig, FlatWindow, MemoryConfig,
    ModelChoice, OptimConfig, RecomputeKind, Rewind, RoundsConfig, RunConfig, ScheduleConfig, ScheduleKind, Source,
    TrainConfig,
};
pub use shape::{RopeScaling, Shape};
pub use shared::SHARED_CONFIG;
pub use value::{Entry, Value};
