//! The simulated peers, validators and readers, and the toy model that they train.

mod actor;
mod evaluator;
pub(crate) mod peer;
mod replica;
mod toy_model;
pub(crate) mod validator;

pub(crate) use self::actor::{ActorContext, identity};
pub(crate) use self::replica::Interruption;
pub(crate) use self::toy_model::ToyModel;
