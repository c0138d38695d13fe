//! The layers of a configuration (defaults, presets, file, environment, flags) and how they merge.

pub(crate) mod derived;
pub(crate) mod document;
mod layers;
mod origin;
mod resolved;
mod value;

pub use self::derived::Checked;
pub(crate) use self::document::Layer;
pub use self::layers::{Layers, Purpose, RESERVED_VARIABLES};
pub use self::origin::Origin;
pub(crate) use self::resolved::Origins;
pub use self::resolved::Resolved;
pub use self::value::{ConfigEntry, Value};
pub(crate) use self::value::{bracketed, number, quoted};
