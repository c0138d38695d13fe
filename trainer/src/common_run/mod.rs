//! A run that many train together, seen from one machine.
//!
//! | question | file |
//! |---|---|
//! | How is the bucket reached? | `connection` |
//! | What have all peers of the run agreed on? | `terms` |
//! | How does a run come into being? | `founding` |
//! | What are the shared weights, and how do they move? | `replica` |
//! | How does a machine get them, and catch up? | `standing` |
//! | Which form do they have in the bucket? | `weight_parts` |
//! | What does a peer train on before it has anything to say? | `inner_loop` |
//! | What does a peer keep on its own disk? | `diary`, `peer_state` |
//! | How are rounds closed? | `validation` |
//! | How is that held to account? | `verification` |
//! | What does a delta do to the model? | `examination` |
//! | Who takes part, by the ledger? | `registry` |
//!
//! What a peer does in a round is in [`crate::round_loop`].

pub mod connection;
pub(crate) mod diary;
pub mod examination;
pub mod founding;
pub(crate) mod inner_loop;
pub mod peer_state;
pub mod registry;
pub mod replica;
pub mod standing;
pub mod terms;
pub mod validation;
pub mod verification;
mod weight_parts;
