//! The table of keys, in the order in which they are shown.

use super::fields::{
    ANNEAL, FLAT_WINDOWS, OUTER_RATES, OVERLAP, PAYOUT, PENALTIES, RATING, REWINDS, ROPE_SCALING,
    SOURCES,
};
use super::schema::Fallback::{Derived, Preset, Value};
use super::schema::{ConfigKey, key};
use super::value_type::RangeBound::{Above, AtLeast, AtMost, Below};
use super::value_type::ValueType::{self, Boolean, Choice, List, Record};
use crate::config::layers::derived;
use crate::system::device::DeviceList;

/// Every key.
///
/// The config of a run lists its keys in this order, and its digest is part of the run ID: a new
/// key `.of_run()` changes the ID of every new run.
// By hand, two or three lines a key: one line per call would make the table three times as long.
#[rustfmt::skip]
pub static KEYS: &[ConfigKey] = &[
    key("run.name", NAME, Value("run")).of_run()
        .doc("Name of the run."),
    // Of the machine: a run must not choose a folder on the disk of a peer.
    key("run.output", PATH, Value("runs/<name>"))
        .doc("Folder of checkpoints and metrics; `<name>` is replaced by `run.name`."),
    key("run.seed", ANY_COUNT, Value("42")).of_run()
        .doc("Seed of the initial weights and of the data order."),
    key("run.device", DEVICE, Value("cpu"))
        .doc("Devices, one shard each: `cpu`, `cpu:4`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`."),
    key("run.threads", COUNT, Value("auto")).or("auto").word_was("all", "auto").unit("threads")
        .doc("CPU threads; `auto` uses all cores."),

    // `model.*` is of the run: peers and validators apply deltas to the same tensors. A run states
    // the shape in full and `from = "none"`, since a folder exists on one machine only.
    key("model.preset", PRESET, Value("tiny")).of_run()
        .doc("Built-in shape with matching training defaults."),
    key("model.from", PATH, Value("none")).or("none").of_run()
        .doc("Folder of a trained model to start from; it determines the shape."),
    key("model.vocab_size", COUNT, Value("auto")).or("auto").word_was("data", "auto").of_run()
        .unit("tokens")
        .doc("Rows of the embedding; `auto` takes the vocabulary size of the data."),
    key("model.hidden_size", COUNT, Preset).of_run()
        .doc("Width of the residual stream."),
    key("model.intermediate_size", COUNT, Preset).of_run()
        .doc("Width of the feed-forward layer."),
    key("model.num_hidden_layers", COUNT, Preset).of_run().unit("layers")
        .doc("Decoder blocks."),
    key("model.num_attention_heads", COUNT, Preset).of_run().unit("heads")
        .doc("Query heads per block."),
    key("model.num_key_value_heads", COUNT, Preset).of_run().unit("heads")
        .doc("Key and value heads per block; must divide the number of query heads."),
    key("model.head_dim", COUNT, Derived {
            doc: "`hidden_size / num_attention_heads`",
            value: derived::head_dim,
        }).of_run()
        .doc("Width of one head; must be even."),
    key("model.max_position_embeddings", COUNT, Preset).of_run().unit("tokens")
        .doc("Longest sequence that the positions allow."),
    key("model.rms_norm_eps", POSITIVE, Preset).of_run()
        .doc("Epsilon inside the square root of RMSNorm."),
    key("model.rope_theta", POSITIVE, Preset).of_run()
        .doc("Base of the rotary frequencies."),
    key("model.rope_scaling", Record(ROPE_SCALING), Preset).or("none").of_run()
        .doc("Llama-3 scaling of the rotary frequencies."),
    key("model.tie_word_embeddings", Boolean, Preset).of_run()
        .doc("Use the embedding as the output head."),

    // Of the machine: the run names its datasets by digest, each peer by its own path.
    key("data.sources", List(SOURCES), Value("[]"))
        .doc("Folders of token shards from `covey prepare`, mixed by weight."),
    key("data.sequence_length", COUNT, Value("256")).of_run().unit("tokens")
        .doc("Length of a training window."),
    key("data.prefetch", COUNT, Value("4")).unit("batches")
        .doc("Batches that are read ahead of the training step."),
    key("data.held_out_windows", COUNT, Value("64")).of_run().unit("windows")
        .doc("Held-out windows scored by each evaluation."),

    key("train.steps", COUNT, Value("1000")).of_run().unit("steps")
        .doc("Optimizer steps of the whole run."),
    key("train.batch_size", COUNT, Value("8")).of_run().unit("sequences")
        .doc("Sequences per optimizer step."),
    // Of the machine: it follows from the memory of the devices; the gradient is that of the batch.
    key("train.micro_batch_size", COUNT, Derived {
            doc: "`batch_size`",
            value: derived::micro_batch_size,
        }).unit("sequences")
        .doc("Sequences per forward and backward pass; must divide `batch_size`."),
    key("train.log_every", COUNT, Value("10")).unit("steps")
        .doc("Steps between two progress lines."),
    key("train.eval_every", COUNT, Value("100")).or("none").word_was("never", "none").unit("steps")
        .doc("Steps between two evaluations on held-out windows."),
    key("train.precision", Choice(&["fp32", "bf16"]), Derived {
            doc: "`bf16` on `cuda`, `fp32` on other devices",
            value: derived::precision,
        })
        .doc("Number format of forward and backward pass; weights and moments are always fp32."),

    // `memory.*` is of the machine: it trades time for memory, and losses stay the same (up to the
    // order of sums), so peers with different devices can take part in one run.
    key("memory.activation_checkpointing", Choice(&["none", "blocks"]), Value("none"))
        .formerly("recompute")
        .doc("Recompute the activations of blocks in the backward pass instead of keeping them."),
    key("memory.activation_checkpoint_every", COUNT, Value("1")).formerly("recompute_every")
        .unit("blocks")
        .doc("With `blocks`: recompute one block of this many; the others keep all activations."),
    key("memory.offload_optimizer", Boolean, Value("false")).formerly("offload")
        .doc("Keep AdamW's moments in host memory while peers exchange deltas."),
    key("memory.micro_batches_per_gather", COUNT, Value("auto")).or("auto").formerly("gather_for")
        .unit("micro-batches")
        .doc("Micro-batches that pass through a block per all-gather of its weights. More need \
              fewer transfers and keep more activations. `auto` is 1 on one device, and all \
              micro-batches of a step on several devices."),
    key("memory.limit", COUNT, Value("auto")).or("auto").unit("bytes")
        .doc("Memory that each device may use; `auto` asks the system."),

    // The defaults of beta2, weight decay and clipping are common for language models. A peer with
    // other values would send deltas that fit badly to those of the others, so the run fixes them.
    key("optim.learning_rate", POSITIVE, Value("3e-4")).of_run()
        .doc("Peak learning rate."),
    key("optim.beta1", AVERAGE, Value("0.9")).of_run()
        .doc("Decay of the average of gradients."),
    key("optim.beta2", AVERAGE, Value("0.95")).of_run()
        .doc("Decay of the average of squared gradients."),
    key("optim.epsilon", POSITIVE, Value("1e-8")).of_run()
        .doc("Added to the square root of the average of squared gradients."),
    key("optim.weight_decay", NOT_NEGATIVE, Value("0.1")).of_run()
        .doc("Decoupled weight decay per step and unit of learning rate."),
    key("optim.clip_norm", POSITIVE, Value("1.0")).or("none").of_run()
        .doc("Maximum norm of the gradient over all parameters; longer gradients are scaled down."),

    key("schedule.kind", Choice(&["constant", "cosine", "wsd"]), Value("cosine")).of_run()
        .doc("Shape after the warm-up; `wsd` is warm-up, stable, decay."),
    key("schedule.warmup_steps", ANY_COUNT, Derived {
            doc: "a twentieth of `train.steps`",
            value: derived::warmup_steps,
        }).of_run().unit("steps")
        .doc("Steps of the linear rise to the peak."),
    key("schedule.warmup_start_ratio", RATIO, Value("1e-6")).of_run()
        .doc("Ratio of the peak at step 0 of the warm-up."),
    key("schedule.final_ratio", RATIO, Value("0.1")).of_run()
        .doc("Ratio of the peak at the end of the decay."),
    key("schedule.decay_steps", COUNT, Derived {
            doc: "the rest of the run for `cosine`, a fifth of it for `wsd`",
            value: derived::decay_steps,
        }).of_run().unit("steps")
        .doc("Steps of decay after warm-up and stable phase; unused by `constant`."),
    key("schedule.stable_steps", ANY_COUNT, Derived {
            doc: "the rest of the run for `wsd`, otherwise 0",
            value: derived::stable_steps,
        }).of_run().unit("steps")
        .doc("Steps at the peak between warm-up and decay; used by `wsd`."),
    key("schedule.flat_windows", List(FLAT_WINDOWS), Value("[]")).of_run()
        .doc("Windows of steps in which the clock of the schedule stops."),
    key("schedule.rewind", List(REWINDS), Value("[]")).of_run()
        .doc("Steps at which the clock of the schedule is set back."),
    key("schedule.anneal", Record(ANNEAL), Value("none")).or("none").of_run()
        .doc("A final rise from 0 and fall to 0 that replaces the schedule."),

    // Of the machine: the checkpoints of a run in its bucket have their own keys in `rounds`.
    key("checkpoint.every", COUNT, Value("500")).unit("steps")
        .doc("Steps between two checkpoints; the last step is always saved."),
    key("checkpoint.keep", COUNT, Value("3")).unit("checkpoints")
        .doc("Checkpoints to keep, the newest first."),

    // Of the run: peers and validators must expect the same steps and the same deadlines.
    key("rounds.inner_steps", COUNT, Value("30")).of_run().unit("steps")
        .doc("Inner steps of a peer per round; must divide `train.steps`."),
    key("rounds.min_peers", COUNT, Value("1")).of_run().unit("peers")
        .doc("Peers that must join before the run starts; rounds wait for this many until \
              `commit_deadline`."),
    key("rounds.max_included", COUNT, Value("20")).of_run().unit("peers")
        .doc("Maximum number of deltas that are applied in one round."),
    key("rounds.commit_deadline", SECONDS, Value("1800")).formerly("deadline").of_run()
        .unit("seconds")
        .doc("Maximum time from the first heartbeat of a round until peers commit to deltas."),
    // Covenant-72B reports 70 s for the exchange of a round.
    key("rounds.reveal_deadline", SECONDS, Value("70")).of_run().unit("seconds")
        .doc("Maximum time from the end of commitments until peers publish their deltas."),
    key("rounds.judging_timeout", SECONDS, Value("600")).formerly("takeover").of_run()
        .unit("seconds")
        .doc("Time without an answer after which the turn passes to the next validator."),
    key("rounds.max_missed_rounds", COUNT, Value("3")).formerly("patience").of_run()
        .unit("rounds")
        .doc("Consecutive rounds that a peer may miss before it loses its slot."),
    key("rounds.checkpoint_every", COUNT, Value("10")).of_run().unit("rounds")
        .doc("Rounds between two checkpoints in the bucket."),
    key("rounds.keep_checkpoints", COUNT, Value("2")).of_run().unit("checkpoints")
        .doc("Newest checkpoints that remain in the bucket, with the deltas since the oldest one."),
    key("rounds.join_warmup_steps", ANY_COUNT, Value("30")).of_run().unit("steps")
        .doc("Steps over which the learning rate of a late joiner rises from 0, since its \
              optimizer moments start at zero."),
    key("rounds.overlap", Boolean, Value("false")).of_run()
        .doc("Train the next round while deltas are exchanged; each delta is then one round late."),

    // Of the run: every validator must reach the same verdict, and any reader must be able to
    // recompute it. The constants are those of the published Gauntlet, except these, which it does
    // not have: exploration_share, unproven_weight_factor, min_gain_ratio, tie_gain_ratio,
    // norm_ratio, loss_tolerance and forget_after_rounds.
    key("gauntlet.num_evaluated", COUNT, Value("20")).formerly("evaluations").of_run()
        .unit("peers")
        .doc("Deltas that are evaluated per round; the cost of a round follows from it."),
    key("gauntlet.exploration_share", SHARE, Value("0.25")).formerly("exploration").of_run()
        .doc("Share of the evaluations for the peers with the fewest evaluations."),
    key("gauntlet.unproven_weight_factor", SHARE, Value("0.1")).formerly("doubt").of_run()
        .doc("Factor on the sampling weight of a peer with a moving average of 0 or less."),
    key("gauntlet.rating_bins", COUNT, Value("5")).formerly("bins").of_run().unit("groups")
        .doc("If at least this many times `num_evaluated` peers delivered, evaluated peers are \
              drawn from one of this many groups of similar rating."),
    key("gauntlet.num_reserves", ANY_COUNT, Value("10")).formerly("reserves").of_run()
        .unit("peers")
        .doc("Peers with the next best scores that are fetched as well, to replace deltas that \
              do not help."),
    key("gauntlet.eval_windows", COUNT, Value("16")).formerly("windows").of_run().unit("windows")
        .doc("Evaluation windows per delta, both from the peer's assigned data and from \
              unassigned data. The paper uses 8."),
    key("gauntlet.eval_rate_ratio", POSITIVE, Value("0.2")).formerly("eval_rate").of_run()
        .doc("Step size of an evaluation, as a ratio of the outer learning rate."),
    key("gauntlet.bma_decay", SHARE, Value("0.95")).of_run()
        .doc("Decay of the moving average of whether a delta helps its assigned windows most."),
    key("gauntlet.bma_threshold", SHARE, Value("0.3")).formerly("bma_bar").of_run()
        .doc("Moving average below which the score of a peer is zero after its probation, as a \
              share of the largest value possible by then. The paper uses 0.1 of the average \
              itself."),
    key("gauntlet.probation", ANY_COUNT, Value("10")).of_run().unit("evaluations")
        .doc("Evaluations of a peer before its moving average counts."),
    key("gauntlet.invalid_score", NEGATIVE, Value("-99")).of_run()
        .doc("Score of an unreadable delta in the match of its round."),
    key("gauntlet.min_gain_ratio", SHARE, Value("0.25")).formerly("useful_share").of_run()
        .doc("A delta helps if its gain is at least this ratio of a good gain."),
    key("gauntlet.tie_gain_ratio", SHARE, Value("0.4")).formerly("draw_share").of_run()
        .doc("Deltas with at least this ratio of a good gain tie in the match of a round; 0 for \
              no ties."),
    key("gauntlet.norm_ratio", RATIO_OF_NORMS, Value("10")).of_run()
        .doc("Maximum ratio between the norm of a delta and the median norm, both ways."),
    key("gauntlet.loss_tolerance", SHARE, Value("1e-4")).of_run()
        .doc("Relative difference allowed between losses measured on two machines."),
    key("gauntlet.forget_after_rounds", COUNT, Value("1000")).formerly("memory").of_run()
        .unit("rounds")
        .doc("Rounds of absence after which the record of a peer is deleted."),
    key("gauntlet.rating", Record(RATING), Value("{}")).of_run()
        .doc("Plackett-Luce ratings (Weng and Lin, 2011)."),
    key("gauntlet.overlap", Record(OVERLAP), Value("{}")).of_run()
        .doc("Shares of common positions from which two deltas are too similar."),
    key("gauntlet.penalties", Record(PENALTIES), Value("{}")).of_run()
        .doc("Penalties for missing, invalid, harmful and copied deltas."),
    key("gauntlet.payout", Record(PAYOUT), Value("{}")).of_run()
        .doc("How scores become shares of the reward."),

    // Of the run: k and profile determine the bytes of a delta, the rest the outer step. The
    // defaults of k and feedback_decay are those of the SparseLoCo paper.
    key("sparseloco.profile", Choice(&["covey", "reference"]), Value("covey")).of_run()
        .doc("Rules for chunks and quantization levels; `reference` is the published arithmetic."),
    key("sparseloco.k", COUNT, Value("64")).of_run().unit("values")
        .doc("Values sent per chunk of 4096."),
    key("sparseloco.dct", Boolean, Value("false")).of_run()
        .doc("Send matrices as DCT-II coefficients of their blocks, as DeMo does."),
    key("sparseloco.feedback_decay", DECAY, Value("0.95")).formerly("decay").of_run()
        .doc("Decay of the error feedback per round."),
    key("sparseloco.mean_over", Choice(&["senders", "peers"]), Value("senders")).of_run()
        .doc("Average each coordinate over the peers that sent it, or over all peers."),
    key("sparseloco.clip", Choice(&["median-norm", "none"]), Value("median-norm"))
        .word_was("off", "none").of_run()
        .doc("Scale deltas with a larger norm down to the median norm."),
    key("sparseloco.return_excluded", Boolean, Value("true")).formerly("mass_return").of_run()
        .doc("Return an excluded delta to the error feedback of its peer; the paper does not."),
    key("sparseloco.outer_learning_rate", List(OUTER_RATES),
        Value("[{ from_round = 0, rate = 1.0 }]")).of_run()
        .doc("Outer learning rate by round; only rounds that changed the weights are counted."),

    // `comms.*` is of the machine: keys are secret, and links differ.
    key("comms.key_file", PATH, Value("<output>/peer.key")).formerly("key")
        .doc("Secret key of this peer; created if missing. `<output>` is replaced by \
              `run.output`."),
    key("comms.upload_limit", COUNT, Value("none")).or("none").unit("bytes/s")
        .doc("Maximum average upload rate."),
    key("comms.download_limit", COUNT, Value("none")).or("none").unit("bytes/s")
        .doc("Maximum average download rate."),
    key("comms.byte_budget", COUNT, Value("none")).or("none").unit("bytes")
        .doc("Bytes that one process may upload and download before it stops."),
    key("comms.poll_interval", SECONDS, Value("0.5")).formerly("poll").unit("seconds")
        .doc("Time between two polls of the bucket."),
    key("comms.retry_timeout", SECONDS, Value("300")).formerly("retry").unit("seconds")
        .doc("Time for which a failed request is retried."),
];

pub(super) const COUNT: ValueType = ValueType::Count { at_least: 1 };
pub(super) const ANY_COUNT: ValueType = ValueType::Count { at_least: 0 };
pub(super) const POSITIVE: ValueType = ValueType::Number(&[Above(0.0)]);
const NOT_NEGATIVE: ValueType = ValueType::Number(&[AtLeast(0.0)]);
const NEGATIVE: ValueType = ValueType::Number(&[Below(0.0)]);
pub(super) const RATIO: ValueType = ValueType::Number(&[AtLeast(0.0), AtMost(1.0)]);
pub(super) const SHARE: ValueType = RATIO;
pub(super) const RATIO_OF_NORMS: ValueType = ValueType::Number(&[AtLeast(1.0)]);
pub(super) const OUTER_RATE: ValueType = ValueType::Number(&[Above(0.0), AtMost(10.0)]);
pub(super) const PATH: ValueType = ValueType::Text { label: "a path", rule: path_rule };
// From one millisecond, the unit of the run description, to 365 days.
const SECONDS: ValueType = ValueType::Number(&[AtLeast(0.001), AtMost(31_536_000.0)]);
// Below 1: the error feedback then stays within a geometric series of the pseudo-gradients.
const DECAY: ValueType = ValueType::Number(&[AtLeast(0.0), AtMost(0.999)]);
const AVERAGE: ValueType = ValueType::Number(&[AtLeast(0.0), Below(1.0)]);
const NAME: ValueType = ValueType::Text { label: "a name", rule: name_rule };
const DEVICE: ValueType = ValueType::Text { label: "a device", rule: device_rule };
const PRESET: ValueType = ValueType::Text { label: "a preset", rule: super::presets::preset_rule };

fn path_rule(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

/// A run's name is a folder below `runs`, so it must not leave that folder.
fn name_rule(text: &str) -> Result<(), String> {
    let is_allowed = !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
    if is_allowed {
        return Ok(());
    }
    Err("must be letters, digits, `-`, `_` and `.`, not starting with `.`".to_owned())
}

fn device_rule(text: &str) -> Result<(), String> {
    text.parse::<DeviceList>().map(|_| ())
}
