//! DiLoCo, DeMo and SparseLoCo behind one trait, to compare them on the same pseudo-gradients.
//!
//! All peers of a round are in one process. Runs never use this folder. Start with [`OuterMethod`].
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use covey_optim::baselines::{DiLoCo, OuterMethod};
//! use covey_optim::sparseloco::{Profile, Schema};
//!
//! let schema = Schema::new(Profile::Covey, 64, [("weight", &[2][..])])?;
//! let mut method = DiLoCo::new(Arc::new(schema), 0.0);
//! let pseudo_gradients = [vec![vec![0.5, 0.0]], vec![vec![1.5, 1.0]]];
//! let mut weights = vec![vec![1.0, 1.0]];
//!
//! let bytes_per_peer = method.round(&pseudo_gradients, &mut weights, 1.0)?;
//! assert_eq!((weights, bytes_per_peer), (vec![vec![0.0, 0.5]], 8));
//! # Ok::<(), covey_optim::sparseloco::SparseLocoError>(())
//! ```

mod demo;
mod diloco;
mod method;
mod sparseloco;

pub use self::demo::{DeMo, DeMoConfig};
pub use self::diloco::DiLoCo;
pub use self::method::OuterMethod;
pub use self::sparseloco::SparseLoCo;
