//! Ways for many peers to train one model, behind one trait: what a benchmark of all of them in one process needs.
//!
//! | question | file |
//! |---|---|
//! | What do they have in common? | [`method`] |
//! | Ours? | [`sparse`] |
//! | The plain mean, with and without momentum? | [`diloco`] |
//! | The largest frequencies of a momentum that no one shares? | [`decoupled_momentum`] |
//!
//! Data-parallel AdamW is not among them: it averages gradients in every step and has no rounds, so that a benchmark
//! gets it by training one model on all peers' batches.

pub mod decoupled_momentum;
pub mod diloco;
pub mod method;
pub mod sparse;

pub use decoupled_momentum::{DeMo, DeMoConfig};
pub use diloco::DiLoCo;
pub use method::OuterMethod;
pub use sparse::SparseLoCo;
