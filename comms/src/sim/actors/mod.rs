//! The simulated peers and validators, and the toy model that they train.
//!
//! Each actor runs the real clients of [`participants`](crate::participants) over its own link and
//! clock. Actors share only the [`World`](super::world::World) and never call each other. Start
//! with [`peer::run`].

mod actor;
mod evaluator;
pub(crate) mod peer;
mod replica;
mod toy_model;
pub(crate) mod validator;

pub(crate) use self::actor::{ActorContext, identity};
pub(crate) use self::toy_model::ToyModel;
