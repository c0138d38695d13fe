//! The configuration as meant: plain data that has passed every check.

use std::path::PathBuf;

use covey_comms::gauntlet::GauntletConfig;
use covey_model::config::Precision;
use covey_optim::sparseloco::{Clip, MeanOver, OuterRate, Profile};
use serde::{Deserialize, Serialize};

use super::shape::NetworkShape;

/// Everything a run is told.
///
/// - Every value is within the range of its key, and the keys fit together.
/// - Its serialised form has the same groups and names as the file.
///
/// Made by [`Layers::resolve`](crate::config::layers::Layers::resolve).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The run as a whole.
    pub run: RunConfig,
    /// The network.
    pub model: ModelChoice,
    /// What is learned from.
    pub data: DataConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// What devices keep.
    pub memory: MemoryConfig,
    /// AdamW.
    pub optim: OptimConfig,
    /// How the learning rate moves.
    pub schedule: ScheduleConfig,
    /// What is kept to resume from.
    pub checkpoint: CheckpointConfig,
    /// How rounds go, when many train together.
    pub rounds: RoundsConfig,
    /// How deltas are judged.
    pub gauntlet: GauntletConfig,
    /// What peers send each other.
    pub sparseloco: ExchangeConfig,
    /// How the bucket is reached.
    pub comms: CommsConfig,
}

/// The run as a whole: its name, its folder, its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// What the run is called.
    pub name: String,
    /// Folder of checkpoints and metrics.
    pub output: PathBuf,
    /// Fixes weights at the start and the order of the data.
    pub seed: u64,
    /// The devices, a member each; a [`DeviceList`](crate::system::device::DeviceList) in text form.
    pub device: String,
    /// Threads of the CPU, at least 1; all cores without one.
    pub threads: Option<usize>,
}

/// Which network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The preset that shape and training defaults came from.
    pub preset: String,
    /// Folder of a trained model to start from.
    pub from: Option<PathBuf>,
    /// Shape of the network; none when `from` fixes it.
    #[serde(flatten)]
    pub shape: Option<NetworkShape>,
}

/// What is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Prepared folders, mixed by weight; at least one when training.
    pub sources: Vec<Source>,
    /// Tokens of one training window.
    pub sequence_length: usize,
    /// Batches read ahead.
    pub prefetch: usize,
    /// Held-out windows that each evaluation scores.
    pub held_out_windows: usize,
}

/// One prepared folder and its share of the windows.
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
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two evaluations; never without one.
    pub eval_every: Option<u64>,
    /// Numbers of the forward and backward pass.
    pub precision: Precision,
}

/// What devices keep, and what is computed again or put elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryConfig {
    /// Whether blocks keep everything that their backward pass needs.
    pub recompute: RecomputeKind,
    /// One of so many blocks is computed again; unused by `none`.
    pub recompute_every: usize,
    /// Whether moments leave the devices while peers exchange.
    pub offload: bool,
    /// Micro-batches that pass a unit while its weights are gathered; 1 on one device and all on several without one.
    pub gather_for: Option<usize>,
    /// Bytes that each device may hold; what the system says without one.
    pub limit: Option<u64>,
}

/// What the backward pass computes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecomputeKind {
    /// Nothing.
    None,
    /// What blocks did not keep.
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
    /// Added to the root of the squared average.
    pub epsilon: f64,
    /// Share of each weight lost per step and unit of learning rate.
    pub weight_decay: f64,
    /// Longest gradient; any length without one.
    pub clip_norm: Option<f64>,
}

/// How the learning rate moves, as a ratio of its peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleConfig {
    /// Shape after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear rise to the peak; at most the steps of the run.
    pub warmup_steps: u64,
    /// Ratio of the peak at step 0.
    pub warmup_start_ratio: f64,
    /// Ratio of the peak at the end of the decay.
    pub final_ratio: f64,
    /// Steps of decay; unused by `constant`.
    pub decay_steps: u64,
    /// Steps at the peak before the decay; used by `wsd`.
    pub stable_steps: u64,
    /// Windows during which the clock stands still; none overlap.
    pub flat_windows: Vec<FlatWindowConfig>,
    /// Steps at which the clock is set back.
    pub rewind: Vec<RewindConfig>,
    /// A last rise and fall in place of the schedule.
    pub anneal: Option<AnnealConfig>,
}

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls along half a cosine.
    Cosine,
    /// Warm-up, stable, decay: stays at the peak, then falls in a line.
    Wsd,
}

/// A window of steps during which the clock of the schedule stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlatWindowConfig {
    /// First step.
    pub start: u64,
    /// Number of steps, at least 1.
    pub length: u64,
}

/// A setting back of the clock of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewindConfig {
    /// Step before which it happens.
    pub at: u64,
    /// How far the clock goes back; at most `at`.
    pub steps: u64,
}

/// A last linear rise from 0 and linear fall to 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnealConfig {
    /// First step.
    pub start: u64,
    /// Steps of the rise.
    pub warmup_steps: u64,
    /// Ratio of the peak learning rate at the top.
    pub peak_ratio: f64,
    /// Steps of the fall.
    pub decay_steps: u64,
}

/// What is kept on disk to resume from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointConfig {
    /// Steps between two checkpoints.
    pub every: u64,
    /// Newest checkpoints that are kept.
    pub keep: usize,
}

/// How rounds go, when many train together; the same for all peers of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundsConfig {
    /// Optimizer steps of a peer between two exchanges: H.
    pub inner_steps: u64,
    /// Peers that the run begins with and that rounds wait for.
    pub min_peers: u32,
    /// Deltas that enter the model in one round at most.
    pub max_included: u32,
    /// Longest time that peers take to train and to commit, in seconds.
    pub deadline: f64,
    /// Longest time that they take to reveal then, in seconds.
    pub reveal_deadline: f64,
    /// How long a validator may be silent before it is the next one's turn, in seconds.
    pub takeover: f64,
    /// Rounds in a row that a peer may miss.
    pub patience: u32,
    /// Rounds between two checkpoints in the bucket.
    pub checkpoint_every: u32,
    /// Checkpoints that stay in the bucket.
    pub keep_checkpoints: u32,
    /// Steps of rising learning rate after joining late.
    pub join_warmup_steps: u64,
    /// Whether the next round is trained while one is exchanged.
    pub overlap: bool,
}

/// What peers send each other, and what becomes of it: SparseLoCo's settings, the same for all peers of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeConfig {
    /// Rules of chunks and levels.
    pub profile: Profile,
    /// Values sent of a chunk of 4096.
    pub k: usize,
    /// Whether values are frequencies of blocks.
    pub dct: bool,
    /// What remains of the error feedback from round to round.
    pub decay: f64,
    /// What a coordinate is divided by.
    pub mean_over: MeanOver,
    /// What happens to loud deltas.
    pub clip: Clip,
    /// Whether a delta that was left out goes back into the error feedback.
    pub mass_return: bool,
    /// Outer learning rate, by rounds that moved the weights.
    pub outer_learning_rate: Vec<OuterRate>,
}

/// How this machine reaches the bucket; every peer has its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommsConfig {
    /// File of the peer's secret key.
    pub key: PathBuf,
    /// Bytes per second sent at most.
    pub upload_limit: Option<u64>,
    /// Bytes per second fetched at most.
    pub download_limit: Option<u64>,
    /// Bytes sent and fetched at most by one start of the program.
    pub byte_budget: Option<u64>,
    /// Seconds between two looks for what others wrote.
    pub poll: f64,
    /// Seconds for which one request is repeated.
    pub retry: f64,
}
