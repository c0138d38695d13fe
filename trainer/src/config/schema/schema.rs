//! Every key there is: what it holds, what it is when left out, and what it means.

use super::value_type::RangeBound::{Above, AtLeast, AtMost, Below};
use super::value_type::{Field, ValueType};
use crate::config::layers::{Checked, derived};
use crate::system::device::DeviceList;

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Dotted path, `train.steps`.
    pub path: &'static str,
    /// What it can hold.
    pub kind: ValueType,
    /// The word that stands for "no value", for keys that can do without one.
    pub absent: Option<&'static str>,
    /// What it is when nobody says anything.
    pub fallback: Fallback,
    /// What a value of 1 is one of; empty for pure numbers.
    pub unit: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
}

/// What a key is when neither file, variable nor command line says.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// The same value always, written as on the command line.
    Value(&'static str),
    /// Whatever the preset says; every preset says something.
    Preset,
    /// Computed from other keys.
    Derived {
        /// The rule in words.
        doc: &'static str,
        /// The rule.
        value: fn(&Checked) -> toml::Value,
    },
}

impl ConfigKey {
    /// The key called `path`, if there is one.
    pub fn named(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The group and the name within it, `("train", "steps")`.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').expect("every key of the table has a group")
    }

    /// The variable that sets the key, `COVEY_TRAIN__STEPS`.
    pub fn variable(&self) -> String {
        format!("COVEY_{}", self.path.replace('.', "__").to_uppercase())
    }

    /// Whether the key describes the shape of the network.
    pub(crate) fn is_shape(&self) -> bool {
        self.path.starts_with("model.") && !matches!(self.path, "model.preset" | "model.from")
    }

    const fn or(self, absent: &'static str) -> Self {
        Self { absent: Some(absent), ..self }
    }
}

/// The groups in order, each with what it is about.
pub static GROUPS: &[(&str, &str)] = &[
    ("run", "The run as a whole: its name, its folder, its machine."),
    (
        "model",
        "The network. A preset brings its shape and fitting training defaults; single fields override it.",
    ),
    ("data", "What is learned from."),
    ("train", "The training loop."),
    ("memory", "What devices keep, and what is computed again or put elsewhere."),
    ("optim", "AdamW with decoupled weight decay."),
    ("schedule", "How the learning rate moves, as a ratio of `optim.learning_rate`."),
    ("checkpoint", "What is kept on disk to resume from."),
    ("rounds", "Training together: how rounds go. The run fixes these for all peers."),
    (
        "gauntlet",
        "Training together: how validators judge deltas. The run fixes these for all peers.",
    ),
    (
        "sparseloco",
        "Training together: what peers send, and what becomes of it. The run fixes these for all peers.",
    ),
    ("comms", "Training together: how this machine reaches the bucket."),
];

/// Every key, in the order in which they are shown.
#[rustfmt::skip]
pub static KEYS: &[ConfigKey] = &[
    key("run.name", NAME, Value("run"), "", "What the run is called."),
    key("run.output", FOLDER, Value("runs/<name>"), "", "Folder of checkpoints and metrics; `<name>` stands for `run.name`."),
    key("run.seed", ANY_COUNT, Value("42"), "", "Fixes weights at the start and the order of the data."),
    key("run.device", DEVICE, Value("cpu"), "", "Where tensors live, a member each: `cpu`, `cpu:4`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`."),
    key("run.threads", COUNT, Value("all"), "threads", "Threads of the CPU; `all` takes every core.").or("all"),

    key("model.preset", PRESET, Value("tiny"), "", "Built-in shape with training defaults that fit it."),
    key("model.from", FOLDER, Value("none"), "", "Folder of a trained model to start from; it then fixes the shape.").or("none"),
    key("model.vocab_size", COUNT, Value("data"), "tokens", "Rows of the embedding; `data` takes the vocabulary of the data.").or("data"),
    key("model.hidden_size", COUNT, Preset, "", "Width of the residual stream."),
    key("model.intermediate_size", COUNT, Preset, "", "Width inside the feed-forward."),
    key("model.num_hidden_layers", COUNT, Preset, "layers", "Decoder blocks."),
    key("model.num_attention_heads", COUNT, Preset, "heads", "Query heads per block."),
    key("model.num_key_value_heads", COUNT, Preset, "heads", "Key and value heads per block; must divide the query heads."),
    key("model.head_dim", COUNT, Derived { doc: "`hidden_size / num_attention_heads`", value: derived::head_dim }, "", "Width of one head; must be even."),
    key("model.max_position_embeddings", COUNT, Preset, "tokens", "Longest sequence that the positions are made for."),
    key("model.rms_norm_eps", POSITIVE, Preset, "", "Epsilon inside the square root of RMSNorm."),
    key("model.rope_theta", POSITIVE, Preset, "", "Base of the rotary frequencies."),
    key("model.rope_scaling", ValueType::Record(ROPE_SCALING), Preset, "", "Llama-3 stretching of the rotary frequencies.").or("none"),
    key("model.tie_word_embeddings", ValueType::Boolean, Preset, "", "Whether the output head is the embedding itself."),

    key("data.sources", ValueType::List(SOURCES), Value("[]"), "", "Folders of token shards made by `covey prepare`, mixed by weight."),
    key("data.sequence_length", COUNT, Value("256"), "tokens", "Tokens of one training window."),
    key("data.prefetch", COUNT, Value("4"), "batches", "Batches read ahead while the model computes."),
    key("data.held_out_windows", COUNT, Value("64"), "windows", "Held-out windows that each evaluation scores."),

    key("train.steps", COUNT, Value("1000"), "steps", "Optimizer steps of the whole run."),
    key("train.batch_size", COUNT, Value("8"), "sequences", "Sequences per optimizer step."),
    key("train.micro_batch_size", COUNT, Derived { doc: "`batch_size`", value: derived::micro_batch_size }, "sequences", "Sequences per forward and backward pass; must divide `batch_size`."),
    key("train.log_every", COUNT, Value("10"), "steps", "Steps between two lines of the log."),
    key("train.eval_every", COUNT, Value("100"), "steps", "Steps between two evaluations on held-out windows.").or("never"),
    key("train.precision", ValueType::Choice(&["fp32", "bf16"]), Derived { doc: "`bf16` on `cuda`, else `fp32`", value: derived::precision }, "", "Numbers of the forward and backward pass; weights, sums and moments are fp32 always."),

    key("memory.recompute", ValueType::Choice(&["none", "blocks"]), Value("none"), "", "Whether the backward pass computes again what blocks did not keep."),
    key("memory.recompute_every", COUNT, Value("1"), "blocks", "With `blocks`: one of so many blocks is computed again, the others keep everything."),
    key("memory.offload", ValueType::Boolean, Value("false"), "", "Whether AdamW's moments leave the devices while peers exchange deltas."),
    key("memory.gather_for", COUNT, Value("auto"), "micro-batches", "Micro-batches that pass a block while its weights are gathered: more need fewer transfers and keep more activations; `auto` is 1 on one device, all of a step on several.").or("auto"),
    key("memory.limit", COUNT, Value("auto"), "bytes", "Bytes that each device may hold; `auto` asks the system.").or("auto"),

    key("optim.learning_rate", POSITIVE, Value("3e-4"), "", "Peak learning rate."),
    key("optim.beta1", AVERAGE, Value("0.9"), "", "Decay of the average of gradients."),
    key("optim.beta2", AVERAGE, Value("0.95"), "", "Decay of the average of squared gradients."),
    key("optim.epsilon", POSITIVE, Value("1e-8"), "", "Added to the root of the squared average."),
    key("optim.weight_decay", NOT_NEGATIVE, Value("0.1"), "", "Share of each weight lost per step and unit of learning rate."),
    key("optim.clip_norm", POSITIVE, Value("1.0"), "", "Longest gradient, as a norm over all parameters; longer ones are scaled down to it.").or("none"),

    key("schedule.kind", ValueType::Choice(&["constant", "cosine", "wsd"]), Value("cosine"), "", "Shape after the warm-up; `wsd` is warm-up, stable, decay."),
    key("schedule.warmup_steps", ANY_COUNT, Derived { doc: "a twentieth of `train.steps`", value: derived::warmup_steps }, "steps", "Steps of linear rise to the peak."),
    key("schedule.warmup_start_ratio", RATIO, Value("1e-6"), "", "Ratio of the peak at step 0 of the warm-up."),
    key("schedule.final_ratio", RATIO, Value("0.1"), "", "Ratio of the peak at the end of the decay."),
    key("schedule.decay_steps", COUNT, Derived { doc: "the rest of the run for `cosine`, a fifth of it for `wsd`", value: derived::decay_steps }, "steps", "Steps of decay after warm-up and stable part; unused by `constant`."),
    key("schedule.stable_steps", ANY_COUNT, Derived { doc: "the rest of the run for `wsd`, else 0", value: derived::stable_steps }, "steps", "Steps at the peak between warm-up and decay; used by `wsd`."),
    key("schedule.flat_windows", ValueType::List(FLAT_WINDOWS), Value("[]"), "", "Windows of steps during which the clock of the schedule stands still."),
    key("schedule.rewind", ValueType::List(REWINDS), Value("[]"), "", "Steps at which the clock of the schedule is set back."),
    key("schedule.anneal", ValueType::Record(ANNEAL), Value("none"), "", "A last rise from 0 and fall back to 0, in place of the schedule.").or("none"),

    key("checkpoint.every", COUNT, Value("500"), "steps", "Steps between two checkpoints; the last step is always saved."),
    key("checkpoint.keep", COUNT, Value("3"), "checkpoints", "Newest checkpoints that are kept."),

    key("rounds.inner_steps", COUNT, Value("30"), "steps", "Optimizer steps of a peer between two exchanges; must divide `train.steps` of a common run."),
    key("rounds.min_peers", COUNT, Value("1"), "peers", "The run begins with so many, and rounds wait for so many until their deadline."),
    key("rounds.max_included", COUNT, Value("20"), "peers", "Deltas that enter the model in one round at most."),
    key("rounds.deadline", SECONDS, Value("1800"), "seconds", "Longest time that peers take to train and to commit to what they learned, from the first sign of life on."),
    key("rounds.reveal_deadline", SECONDS, Value("70"), "seconds", "Longest time that they take then to publish it."),
    key("rounds.takeover", SECONDS, Value("600"), "seconds", "How long a validator may be silent before it is the next one's turn."),
    key("rounds.patience", COUNT, Value("3"), "rounds", "Rounds in a row that a peer may miss before it loses its seat."),
    key("rounds.checkpoint_every", COUNT, Value("10"), "rounds", "Rounds between two checkpoints in the bucket."),
    key("rounds.keep_checkpoints", COUNT, Value("2"), "checkpoints", "Newest checkpoints that stay in the bucket, with the deltas since the oldest of them."),
    key("rounds.join_warmup_steps", ANY_COUNT, Value("30"), "steps", "Steps over which the learning rate of a peer that joins later rises from 0, since its moments are empty."),
    key("rounds.overlap", ValueType::Boolean, Value("false"), "", "Whether peers train the next round while one is exchanged; what they learn then arrives a round late."),

    key("gauntlet.evaluations", COUNT, Value("20"), "peers", "Deltas that are measured in one round; what a round costs a validator follows from it."),
    key("gauntlet.exploration", SHARE, Value("0.25"), "", "Share of them that goes to whoever was measured least."),
    key("gauntlet.doubt", SHARE, Value("0.1"), "", "Weight in the draw of the others of a peer of whom nothing good is known."),
    key("gauntlet.bins", COUNT, Value("5"), "groups", "Once so many times `evaluations` peers delivered, one of as many groups of like ratings is drawn from."),
    key("gauntlet.reserves", ANY_COUNT, Value("10"), "peers", "Next best peers whose deltas are fetched, too, in case better ones are of no use."),
    key("gauntlet.windows", COUNT, Value("16"), "windows", "Windows of each kind, the peer's own and nobody's, that a delta is measured on; published with 8."),
    key("gauntlet.eval_rate", POSITIVE, Value("0.2"), "", "Share of the outer learning rate by which a delta is tried."),
    key("gauntlet.bma_decay", SHARE, Value("0.95"), "", "What stays of the moving average of whether a peer's deltas favour its own windows."),
    key("gauntlet.bma_bar", SHARE, Value("0.3"), "", "Moving average below which a peer's score is zero, once its probation is over, as a share of what it can have reached; published 0.1 outright."),
    key("gauntlet.probation", ANY_COUNT, Value("10"), "evaluations", "Measured deltas of a peer until its moving average is believed."),
    key("gauntlet.invalid_score", NEGATIVE, Value("-99"), "", "Score of a delta that cannot be read, in the match of its round."),
    key("gauntlet.useful_share", SHARE, Value("0.25"), "", "Share of a good gain below which a delta is of no use."),
    key("gauntlet.draw_share", SHARE, Value("0.4"), "", "Share of a good gain from which on deltas draw in the match of a round; 0 for no draws."),
    key("gauntlet.norm_ratio", RATIO_OF_NORMS, Value("10"), "", "How many times longer or shorter than the median a delta may be."),
    key("gauntlet.loss_tolerance", SHARE, Value("1e-4"), "", "How far losses that another machine measured may be from ours, relative to them."),
    key("gauntlet.memory", COUNT, Value("1000"), "rounds", "Rounds after which a peer that stays away is forgotten."),
    key("gauntlet.rating", ValueType::Record(RATING), Value("{}"), "", "Plackett-Luce ratings (Weng and Lin, 2011)."),
    key("gauntlet.overlap", ValueType::Record(OVERLAP), Value("{}"), "", "Share of common places from which on deltas are too much alike."),
    key("gauntlet.penalties", ValueType::Record(PENALTIES), Value("{}"), "", "What misconduct costs."),
    key("gauntlet.payout", ValueType::Record(PAYOUT), Value("{}"), "", "How scores become shares of a reward."),

    key("sparseloco.profile", ValueType::Choice(&["covey", "reference"]), Value("covey"), "", "Rules of chunks and levels; `reference` is the published arithmetic."),
    key("sparseloco.k", COUNT, Value("64"), "values", "Values sent of a chunk of 4096."),
    key("sparseloco.dct", ValueType::Boolean, Value("false"), "", "Whether matrices are sent as frequencies of their blocks (DCT-II), as DeMo does."),
    key("sparseloco.decay", DECAY, Value("0.95"), "", "What remains of the error feedback from round to round."),
    key("sparseloco.mean_over", ValueType::Choice(&["senders", "peers"]), Value("senders"), "", "Whether a coordinate is averaged over the peers that sent it or over all."),
    key("sparseloco.clip", ValueType::Choice(&["median-norm", "off"]), Value("median-norm"), "", "Whether loud deltas are scaled down to the median norm."),
    key("sparseloco.mass_return", ValueType::Boolean, Value("true"), "", "Whether a delta that was left out goes back into the error feedback; `false` is faithful to the publication."),
    key("sparseloco.outer_learning_rate", ValueType::List(OUTER_RATES), Value("[{ from_round = 0, rate = 1.0 }]"), "", "Steps of the outer learning rate; rounds that moved the weights are counted."),

    key("comms.key", FOLDER, Value("<output>/peer.key"), "", "File of the secret key that is this peer; made if it is not there. `<output>` stands for `run.output`."),
    key("comms.upload_limit", COUNT, Value("none"), "bytes/s", "Most that is sent, on average.").or("none"),
    key("comms.download_limit", COUNT, Value("none"), "bytes/s", "Most that is fetched, on average.").or("none"),
    key("comms.byte_budget", COUNT, Value("none"), "bytes", "Bytes sent and fetched after which this start of the program stops.").or("none"),
    key("comms.poll", SECONDS, Value("0.5"), "seconds", "Time between two looks for what others wrote."),
    key("comms.retry", SECONDS, Value("300"), "seconds", "How long one request is repeated before the program gives up."),
];

const OUTER_RATES: &[Field] = &[
    field(
        "from_round",
        ANY_COUNT,
        None,
        "First round it holds for, counting those that moved the weights.",
    ),
    field("rate", OUTER_RATE, None, "The outer learning rate."),
];

const RATING: &[Field] = &[
    field("mu", POSITIVE, Some("25.0"), "Mean of a peer that has played no match."),
    field("sigma", POSITIVE, Some("8.333333333333334"), "Its uncertainty, a standard deviation."),
    field("beta", POSITIVE, Some("7.0"), "Spread of performances around a skill."),
    field("tau", POSITIVE, Some("0.1"), "Uncertainty that every match adds."),
    field(
        "kappa",
        POSITIVE,
        Some("1e-4"),
        "Smallest factor on the squared uncertainty of one match.",
    ),
];

const OVERLAP: &[Field] = &[
    field("high", SHARE, Some("0.4"), "Suspicious."),
    field("max", SHARE, Some("0.5"), "Surely no chance."),
    field("mega", SHARE, Some("0.6"), "A copy."),
    field(
        "verbatim",
        SHARE,
        Some("0.9"),
        "The only level of the first rounds, and between a peer's own deltas.",
    ),
    field("settled", ANY_COUNT, Some("20"), "First round in which the other levels hold."),
];

const PENALTIES: &[Field] = &[
    field(
        "inactive",
        SHARE,
        Some("0.75"),
        "What stays of a peer's trust after each round in which nothing came.",
    ),
    field(
        "inactive_rounds",
        ANY_COUNT,
        Some("3"),
        "Rounds in a row in which nothing came, before the record is reset.",
    ),
    field(
        "undelivered",
        SHARES,
        Some("[0.75, 0.5, 0.0]"),
        "What stays after the first, second and each further delta in a row that was late, held back or invalid.",
    ),
    field(
        "unreliable",
        COUNT,
        Some("4"),
        "So many of these among the last eight deltas are a ban.",
    ),
    field(
        "negative",
        SHARE,
        Some("0.25"),
        "What stays if more than half of the last eight measured deltas did harm.",
    ),
    field(
        "negative_streak",
        COUNT,
        Some("3"),
        "After so many harmful deltas in a row a peer is out until one helps.",
    ),
    field(
        "trouble_rank",
        COUNT,
        Some("5"),
        "If not even so many peers did good, harm is no offence.",
    ),
    field(
        "similar",
        SHARE,
        Some("0.5"),
        "What stays after a delta that is suspiciously like another one.",
    ),
    field(
        "ban_rounds",
        COUNT,
        Some("20"),
        "Rounds that a first ban lasts; each further one is twice as long.",
    ),
    field("floor", SHARE, Some("1e-4"), "Scores and trust below this are none."),
    field(
        "network",
        SHARE,
        Some("0.4"),
        "If less than this share of all seats delivered, nobody's silence is an offence.",
    ),
];

const PAYOUT: &[Field] = &[
    field(
        "rule",
        ValueType::Choice(&["ramp", "power"]),
        Some("ramp"),
        "By rank, or by a power of the score.",
    ),
    field("burn", SHARE, Some("0.5"), "Share that nobody gets."),
    field(
        "steepness",
        RATIO_OF_NORMS,
        Some("2.0"),
        "Ramp: how many times more the first gets than the last who may be included.",
    ),
    field("included_share", SHARE, Some("0.75"), "Ramp: what all those get together."),
    field(
        "reserve_ratio",
        SHARE,
        Some("0.5"),
        "Ramp: what each reserve gets of the share of the one before.",
    ),
    field("exponent", POSITIVE, Some("2.0"), "Power: the exponent."),
];

const SOURCES: &[Field] = &[
    field("path", FOLDER, None, "Folder made by `covey prepare`."),
    field("weight", POSITIVE, Some("1.0"), "Share of the windows, relative to the other weights."),
];

const ROPE_SCALING: &[Field] = &[
    field("factor", POSITIVE, None, "How far long wavelengths are stretched."),
    field(
        "low_freq_factor",
        POSITIVE,
        None,
        "Wavelengths above the original length over this are stretched in full.",
    ),
    field(
        "high_freq_factor",
        POSITIVE,
        None,
        "Wavelengths below the original length over this are left alone.",
    ),
    field(
        "original_max_position_embeddings",
        COUNT,
        None,
        "Context length before stretching, in tokens.",
    ),
];

const FLAT_WINDOWS: &[Field] = &[
    field("start", ANY_COUNT, None, "First step of the window."),
    field("length", COUNT, None, "Steps in the window."),
];

const REWINDS: &[Field] = &[
    field("at", COUNT, None, "Step before which the clock is set back."),
    field("steps", COUNT, None, "How far it is set back."),
];

const ANNEAL: &[Field] = &[
    field("start", ANY_COUNT, None, "First step of the anneal."),
    field("warmup_steps", ANY_COUNT, None, "Steps of the linear rise from 0."),
    field("peak_ratio", RATIO, None, "Ratio of the peak learning rate at the top."),
    field("decay_steps", COUNT, None, "Steps of the linear fall to 0."),
];

const COUNT: ValueType = ValueType::Count { at_least: 1 };
const ANY_COUNT: ValueType = ValueType::Count { at_least: 0 };
const POSITIVE: ValueType = ValueType::Number(&[Above(0.0)]);
const NOT_NEGATIVE: ValueType = ValueType::Number(&[AtLeast(0.0)]);
const RATIO: ValueType = ValueType::Number(&[AtLeast(0.0), AtMost(1.0)]);
const SHARE: ValueType = RATIO;
const SHARES: ValueType = ValueType::Numbers { length: 3, bounds: &[AtLeast(0.0), AtMost(1.0)] };
const NEGATIVE: ValueType = ValueType::Number(&[Below(0.0)]);
const RATIO_OF_NORMS: ValueType = ValueType::Number(&[AtLeast(1.0)]);
const SECONDS: ValueType = ValueType::Number(&[AtLeast(0.001), AtMost(31_536_000.0)]);
const OUTER_RATE: ValueType = ValueType::Number(&[Above(0.0), AtMost(10.0)]);
const DECAY: ValueType = ValueType::Number(&[AtLeast(0.0), AtMost(0.999)]);
const AVERAGE: ValueType = ValueType::Number(&[AtLeast(0.0), Below(1.0)]);
const FOLDER: ValueType = ValueType::Text { label: "a path", rule: path_rule };
const NAME: ValueType = ValueType::Text { label: "a name", rule: name_rule };
const DEVICE: ValueType = ValueType::Text { label: "a device", rule: device_rule };
const PRESET: ValueType = ValueType::Text { label: "a preset", rule: super::presets::preset_rule };

use Fallback::{Derived, Preset, Value};

const fn key(
    path: &'static str,
    kind: ValueType,
    fallback: Fallback,
    unit: &'static str,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey { path, kind, absent: None, fallback, unit, doc }
}

const fn field(
    name: &'static str,
    kind: ValueType,
    default: Option<&'static str>,
    doc: &'static str,
) -> Field {
    Field { name, kind, default, doc }
}

fn path_rule(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(()),
    }
}

fn name_rule(text: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    match !text.is_empty() && !text.starts_with('.') && text.chars().all(allowed) {
        true => Ok(()),
        false => Err("must be letters, digits, `-`, `_` and `.`, not starting with `.`".to_owned()),
    }
}

fn device_rule(text: &str) -> Result<(), String> {
    text.parse::<DeviceList>().map(|_| ())
}
