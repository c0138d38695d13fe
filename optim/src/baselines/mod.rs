//! DiLoCo, DeMo and SparseLoCo behind one trait, for comparisons.

mod demo;
mod diloco;
mod method;
mod sparseloco;

pub use self::demo::{DeMo, DeMoConfig};
pub use self::diloco::DiLoCo;
pub use self::method::OuterMethod;
pub use self::sparseloco::SparseLoCo;
