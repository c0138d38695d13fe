//! The configuration after all checks, as plain data.

use std::path::PathBuf;

use covey_comms::gauntlet::GauntletConfig;
use covey_model::config::Precision;
use covey_optim::inner::{Anneal, FlatWindow, Rewind};
use covey_optim::sparseloco::{Clip, MeanOver, OuterRate, Profile};
use serde::{Deserialize, Serialize};

use super::shape::NetworkShape;

/// The whole configuration.
///
/// - Every value is within the range of its key, and the keys are consistent with each other.
/// - It serialises under the names on the wire. Where a key was renamed, that is the former name:
///   the Gauntlet's constants have the same names in the run description, and its bytes are the
///   run ID.
///
/// Made by [`Layers::resolve`](crate::config::layers::Layers::resolve).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name, folder, seed and devices.
    pub run: RunConfig,
    /// The network.
    pub model: ModelChoice,
    /// Training data.
    pub data: DataConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// Memory of the devices.
    pub memory: MemoryConfig,
    /// AdamW.
    pub optim: OptimConfig,
    /// The learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Checkpoints on disk.
    pub checkpoint: CheckpointConfig,
    /// Rounds of a distributed run.
    pub rounds: RoundsConfig,
    /// Scoring of deltas.
    pub gauntlet: GauntletConfig,
    /// Compression and the outer step.
    pub sparseloco: ExchangeConfig,
    /// Use of the bucket.
    pub comms: CommsConfig,
}

/// Name and seed of the run; output folder and devices of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Name of the run.
    pub name: String,
    /// Folder of checkpoints and metrics.
    pub output: PathBuf,
    /// Seed of the initial weights and of the data order.
    pub seed: u64,
    // Text, so `run.toml` repeats what the user wrote; it was parsed once by the check of the key.
    /// A [`DeviceList`](crate::system::device::DeviceList) in text form; one shard per device.
    pub device: String,
    /// CPU threads, at least 1; `None` for all cores.
    pub threads: Option<usize>,
}

/// The network to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The preset from which shape and training defaults were taken.
    pub preset: String,
    /// Folder of a trained model to start from.
    pub from: Option<PathBuf>,
    // Flattened: the shape is written as keys of `[model]`, not as a table in it.
    /// Shape of the network; `None` if `from` determines it.
    #[serde(flatten)]
    pub shape: Option<NetworkShape>,
}

/// Training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Prepared folders, mixed by weight; at least one when training.
    pub sources: Vec<Source>,
    /// Tokens of one training window.
    pub sequence_length: usize,
    /// Batches that are read ahead.
    pub prefetch: usize,
    /// Held-out windows scored by each evaluation.
    pub held_out_windows: usize,
}

/// A prepared folder and its share of the windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Folder made by `covey prepare`.
    pub path: PathBuf,
    /// Share of the windows relative to the other weights; above 0.
    pub weight: f64,
}

/// The training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Sequences per optimizer step.
    pub batch_size: usize,
    /// Sequences per forward and backward pass; divides `batch_size`.
    pub micro_batch_size: usize,
    /// Steps between two progress lines.
    pub log_every: u64,
    /// Steps between two evaluations; `None` for no evaluations.
    pub eval_every: Option<u64>,
    /// Number format of the forward and backward pass.
    pub precision: Precision,
}

/// Memory of the devices: activation checkpointing, gathering and offloading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryConfig {
    // The names that serde gives here are those of `Naming::Wire`; see there.
    /// The blocks that recompute their activations in the backward pass.
    #[serde(rename = "recompute")]
    pub activation_checkpointing: CheckpointedLayers,
    /// One block of this many is recomputed; unused by `none`.
    #[serde(rename = "recompute_every")]
    pub activation_checkpoint_every: usize,
    /// Keep the optimizer's moments in host memory while peers exchange deltas.
    #[serde(rename = "offload")]
    pub offload_optimizer: bool,
    /// Micro-batches that pass through a unit per all-gather of its weights; `None` for 1 on one
    /// device, and for all micro-batches of a step on several.
    #[serde(rename = "gather_for")]
    pub micro_batches_per_gather: Option<usize>,
    /// Bytes that each device may use; `None` for the amount that the system reports.
    pub limit: Option<u64>,
}

/// The layers that activation checkpointing covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointedLayers {
    /// None: all activations are kept.
    None,
    /// Decoder blocks.
    Blocks,
}

/// AdamW with decoupled weight decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimConfig {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the average of gradients.
    pub beta1: f64,
    /// Decay of the average of squared gradients.
    pub beta2: f64,
    /// Added to the square root of the average of squared gradients.
    pub epsilon: f64,
    /// Decoupled weight decay per step and unit of learning rate.
    pub weight_decay: f64,
    /// Maximum norm of the gradient; `None` for no limit.
    pub clip_norm: Option<f64>,
}

/// The learning rate over the run, as a ratio of its peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleConfig {
    /// Shape after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of the linear rise to the peak; at most the steps of the run.
    pub warmup_steps: u64,
    /// Ratio of the peak at step 0.
    pub warmup_start_ratio: f64,
    /// Ratio of the peak at the end of the decay.
    pub final_ratio: f64,
    /// Steps of decay; unused by `constant`.
    pub decay_steps: u64,
    /// Steps at the peak before the decay; used by `wsd`.
    pub stable_steps: u64,
    // A list and not one window: Covenant-72B paused its schedule, and a run may do so again.
    /// Windows in which the clock stops, in any order; none overlap.
    pub flat_windows: Vec<FlatWindow>,
    /// Steps at which the clock is set back.
    pub rewind: Vec<Rewind>,
    /// A final rise and fall that replaces the schedule.
    pub anneal: Option<Anneal>,
}

/// The shape of the learning rate after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls along half a cosine.
    Cosine,
    /// Warm-up, stable, decay: stays at the peak, then falls linearly.
    Wsd,
}

/// Checkpoints on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointConfig {
    /// Steps between two checkpoints.
    pub every: u64,
    /// Number of checkpoints to keep.
    pub keep: usize,
}

/// Rounds of a distributed run; the same for all peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundsConfig {
    /// Inner steps of a peer per round: H in the papers.
    pub inner_steps: u64,
    /// Peers with which the run starts and for which rounds wait.
    pub min_peers: u32,
    /// Maximum number of deltas that are applied in one round.
    pub max_included: u32,
    // Fractions of seconds are for tests; on the wire, times are whole milliseconds.
    /// Maximum time from the first heartbeat until peers commit, in seconds.
    #[serde(rename = "deadline")]
    pub commit_deadline: f64,
    /// Maximum time from then until peers publish their deltas, in seconds.
    pub reveal_deadline: f64,
    /// Time without an answer after which the next validator proposes, in seconds.
    #[serde(rename = "takeover")]
    pub judging_timeout: f64,
    /// Consecutive rounds that a peer may miss.
    #[serde(rename = "patience")]
    pub max_missed_rounds: u32,
    /// Rounds between two checkpoints in the bucket.
    pub checkpoint_every: u32,
    /// Checkpoints that remain in the bucket.
    pub keep_checkpoints: u32,
    /// Steps over which the learning rate of a late joiner rises.
    pub join_warmup_steps: u64,
    /// Train the next round while deltas are exchanged.
    pub overlap: bool,
}

/// Compression of deltas and the outer step: SparseLoCo's settings, the same for all peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeConfig {
    /// Rules for chunks and quantization levels.
    pub profile: Profile,
    /// Values sent per chunk of 4096.
    pub k: usize,
    /// Send matrices as DCT-II coefficients of their blocks.
    pub dct: bool,
    // 64 bits as in TOML; the compressor rounds it to 32, on every machine in the same way.
    /// Decay of the error feedback per round.
    #[serde(rename = "decay")]
    pub feedback_decay: f64,
    /// The divisor of the mean of each coordinate.
    pub mean_over: MeanOver,
    /// Treatment of deltas with a large norm.
    pub clip: Clip,
    /// Return an excluded delta to the error feedback.
    #[serde(rename = "mass_return")]
    pub return_excluded: bool,
    /// Outer learning rate by round; only rounds that changed the weights are counted.
    pub outer_learning_rate: Vec<OuterRate>,
}

/// Use of the bucket by this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommsConfig {
    /// Secret key of the peer.
    #[serde(rename = "key")]
    pub key_file: PathBuf,
    /// Maximum average upload rate, in bytes per second.
    pub upload_limit: Option<u64>,
    /// Maximum average download rate, in bytes per second.
    pub download_limit: Option<u64>,
    /// Bytes that one process may upload and download.
    pub byte_budget: Option<u64>,
    /// Seconds between two polls of the bucket.
    #[serde(rename = "poll")]
    pub poll_interval: f64,
    /// Seconds for which a failed request is retried.
    #[serde(rename = "retry")]
    pub retry_timeout: f64,
}
