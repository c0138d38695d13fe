//! Text of a model, streamed as it is generated.

mod text_stream;

pub use self::text_stream::{StopReason, TextStream};
