//! The fields of keys that hold records or lists of records.

use super::keys::{ANY_COUNT, COUNT, OUTER_RATE, PATH, POSITIVE, RATIO, RATIO_OF_NORMS, SHARE};
use super::value_type::RangeBound::{AtLeast, AtMost};
use super::value_type::{Field, ValueType, field};

// By hand, a field a line where it fits: these are tables, as in `keys`.
#[rustfmt::skip]
pub(super) const SOURCES: &[Field] = &[
    field("path", PATH, "Folder made by `covey prepare`."),
    field("weight", POSITIVE, "Share of the windows, relative to the other weights.").or("1.0"),
];

#[rustfmt::skip]
pub(super) const ROPE_SCALING: &[Field] = &[
    field("factor", POSITIVE, "Factor by which long wavelengths are stretched."),
    field("low_freq_factor", POSITIVE,
        "Wavelengths above the original length divided by this are stretched in full."),
    field("high_freq_factor", POSITIVE,
        "Wavelengths below the original length divided by this are not stretched."),
    field("original_max_position_embeddings", COUNT, "Context length before scaling, in tokens."),
];

#[rustfmt::skip]
pub(super) const FLAT_WINDOWS: &[Field] = &[
    field("start", ANY_COUNT, "First step of the window."),
    field("length", COUNT, "Steps in the window."),
];

#[rustfmt::skip]
pub(super) const REWINDS: &[Field] = &[
    field("at", COUNT, "First step with the earlier clock."),
    field("steps", COUNT, "Steps by which the clock is set back."),
];

#[rustfmt::skip]
pub(super) const ANNEAL: &[Field] = &[
    field("start", ANY_COUNT, "First step of the anneal."),
    field("warmup_steps", ANY_COUNT, "Steps of the linear rise from 0."),
    field("peak_ratio", RATIO, "Ratio of the peak learning rate at the top."),
    field("decay_steps", COUNT, "Steps of the linear fall to 0."),
];

#[rustfmt::skip]
pub(super) const OUTER_RATES: &[Field] = &[
    field("from_round", ANY_COUNT, "First round of the rate; only rounds that changed the weights \
                                    are counted."),
    field("rate", OUTER_RATE, "The outer learning rate."),
];

// The defaults of the Gauntlet are repeated here because the table holds text; a test compares
// them with `GauntletConfig::default()`.
#[rustfmt::skip]
pub(super) const RATING: &[Field] = &[
    field("mu", POSITIVE, "Mean of a peer without a match.").or("25.0"),
    field("sigma", POSITIVE, "Standard deviation of a peer without a match.")
        .or("8.333333333333334"),
    field("beta", POSITIVE, "Standard deviation of a performance around the skill.").or("7.0"),
    field("tau", POSITIVE, "Standard deviation that each match adds to the skill.").or("0.1"),
    field("kappa", POSITIVE, "Lower bound of the factor on the variance in one match.").or("1e-4"),
];

#[rustfmt::skip]
pub(super) const OVERLAP: &[Field] = &[
    field("high", SHARE, "Suspicious.").or("0.4"),
    field("max", SHARE, "Too high for chance.").or("0.5"),
    field("mega", SHARE, "A copy.").or("0.6"),
    field("verbatim", SHARE,
        "The only level in the first rounds, and between deltas of one peer.").or("0.9"),
    field("settled", ANY_COUNT, "First round in which the other levels apply.").or("20"),
];

#[rustfmt::skip]
pub(super) const PENALTIES: &[Field] = &[
    field("inactive", SHARE, "Factor on trust after each round without a delta.").or("0.75"),
    field("inactive_rounds", ANY_COUNT,
        "Consecutive rounds without a delta before the peer record is reset.").or("3"),
    field("undelivered", SHARES,
        "Factors on trust after the first, second and each further consecutive delta that is \
         late, withheld or invalid.").or("[0.75, 0.5, 0.0]"),
    field("unreliable", COUNT, "Number of such deltas among the last eight that leads to a ban.")
        .or("4"),
    field("negative", SHARE,
        "Factor on trust if more than half of the last eight evaluations were harmful.").or("0.25"),
    field("negative_streak", COUNT,
        "Consecutive harmful deltas after which a peer is excluded until one helps.").or("3"),
    field("min_helpful_peers", COUNT,
        "With fewer helpful peers in a round, harmful deltas are not penalized.")
        .formerly("trouble_rank").or("5"),
    field("similar", SHARE, "Factor on trust after a delta that is suspiciously like another.")
        .or("0.5"),
    field("ban_rounds", COUNT, "Rounds of the first ban; each further ban is twice as long.")
        .or("20"),
    field("floor", SHARE, "Scores and trust below this are zero.").or("1e-4"),
    field("min_delivery_share", SHARE,
        "If a smaller share of the active peers delivered, missing deltas are not penalized.")
        .formerly("network").or("0.4"),
];

#[rustfmt::skip]
pub(super) const PAYOUT: &[Field] = &[
    field("rule", ValueType::Choice(&["ramp", "power"]), "By rank, or by a power of the score.")
        .or("ramp"),
    field("burn", SHARE, "Share that is not paid out.").or("0.5"),
    field("steepness", RATIO_OF_NORMS,
        "Ramp: ratio between the shares of the first and the last place that can be included.")
        .or("2.0"),
    field("included_share", SHARE, "Ramp: total share of these places.").or("0.75"),
    field("reserve_ratio", SHARE, "Ramp: share of each reserve, as a ratio of the one before.")
        .or("0.5"),
    field("exponent", POSITIVE, "Power: the exponent.").or("2.0"),
];

const SHARES: ValueType = ValueType::Numbers { length: 3, bounds: &[AtLeast(0.0), AtMost(1.0)] };
