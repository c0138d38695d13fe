//! Training on one machine: the loop with its data, metrics and checkpoints.
//!
//! Distributed runs use these parts and have a separate loop in [`crate::run`]. Nothing here
//! depends on rounds, peers or buckets, except for one kind of metrics entry. Start with
//! [`TrainingLoop`], then [`learner::Learner`] for one step and [`checkpoint`] for saved state.
//!
//! ```
//! use covey::training::{MetricsEntry, MetricsLog, StepReport};
//!
//! let run = tempfile::tempdir()?;
//! let mut log = MetricsLog::create(run.path())?;
//! for step in 1..=3 {
//!     log.record(&MetricsEntry::Step(StepReport { step, ..StepReport::default() }))?;
//! }
//! // A run that continues from step 2 records step 3 again.
//! MetricsLog::resume(run.path(), 2)?;
//! let text = std::fs::read_to_string(MetricsLog::path_in(run.path()))?;
//! assert_eq!(text.lines().count(), 2);
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

pub mod checkpoint;
mod datasets;
mod hub_config;
mod initial_weights;
pub mod learner;
mod metrics;
pub mod model_folder;
pub mod plan;
mod progress;
mod throughput;
mod training_loop;

pub(crate) use self::datasets::{check_fit, common_tokenizer, open_datasets};
pub use self::hub_config::hub_config;
pub(crate) use self::initial_weights::Start;
pub use self::metrics::{
    EvalReport, MetricsEntry, MetricsError, MetricsLog, RoundReport, StepReport, resident_memory,
};
pub use self::model_folder::{ModelFolder, ModelFolderError};
pub use self::progress::{Activity, ByteProgress, TrainProgress};
pub(crate) use self::training_loop::set_aside_later;
pub use self::training_loop::{TrainingLoop, TrainingOutcome};
