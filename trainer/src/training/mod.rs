//! Training on one machine: the loop, its data, metrics and checkpoints.

pub mod checkpoint;
mod datasets;
mod initial_weights;
pub mod learner;
mod metrics;
pub mod model_folder;
pub mod plan;
mod progress;
mod throughput;
mod training_loop;

pub(crate) use self::datasets::{check_fit, common_tokenizer, open_datasets};
pub(crate) use self::initial_weights::Start;
pub use self::metrics::{
    EvalReport, MetricsEntry, MetricsError, MetricsLog, RoundReport, StepReport, resident_memory,
};
pub use self::model_folder::{ModelFolder, ModelFolderError};
pub use self::progress::{Activity, ByteProgress, TrainProgress};
pub use self::training_loop::{TrainingLoop, TrainingOutcome, hub_config};
