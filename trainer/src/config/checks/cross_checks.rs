//! Rules between keys, checked after the rule of each key.

use std::collections::BTreeSet;

use super::problem::Problem;
use crate::config::layers::{Origin, Origins, Purpose};
use crate::config::schema::Config;
use crate::config::show;

/// The input of the rules.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) origins: &'a Origins,
    pub(crate) purpose: Purpose,
}

/// A rule between keys. It is reported at the first key, and skipped if one of its keys breaks its
/// own rule.
struct Relation {
    keys: &'static [&'static str],
    /// The requirement on the first key; `None` if it is met.
    breach: fn(&Facts<'_>) -> Option<String>,
}

impl Relation {
    fn check(&self, facts: &Facts<'_>, broken: &BTreeSet<&'static str>) -> Option<Problem> {
        // A broken key has a stand-in value, and a message about that would mislead.
        if self.keys.iter().any(|key| broken.contains(key)) {
            return None;
        }
        Some(facts.problem(self.keys.first()?, (self.breach)(facts)?))
    }
}

const RELATIONS: &[Relation] = &[
    Relation {
        keys: &["model.num_attention_heads", "model.hidden_size", "model.head_dim"],
        breach: heads_divide_the_width,
    },
    Relation {
        keys: &["model.num_key_value_heads", "model.num_attention_heads"],
        breach: kv_heads_divide_heads,
    },
    Relation {
        keys: &["model.head_dim", "model.hidden_size", "model.num_attention_heads"],
        breach: head_width_is_even,
    },
    Relation { keys: &["model.rope_scaling"], breach: low_factor_is_below_high },
    Relation {
        keys: &["data.sequence_length", "model.max_position_embeddings"],
        breach: positions_cover_the_sequence,
    },
    Relation { keys: &["data.sources"], breach: training_has_data },
    Relation {
        keys: &["train.micro_batch_size", "train.batch_size"],
        breach: micro_batches_divide_the_batch,
    },
    Relation {
        keys: &["schedule.warmup_steps", "train.steps"],
        breach: warmup_ends_within_the_run,
    },
    Relation { keys: &["schedule.flat_windows"], breach: flat_windows_do_not_overlap },
    Relation { keys: &["schedule.rewind"], breach: rewinds_stay_in_the_run },
    Relation {
        keys: &["rounds.min_peers", "rounds.max_included"],
        breach: expected_peers_can_be_included,
    },
    Relation { keys: &["sparseloco.k"], breach: k_fits_into_a_chunk },
    Relation { keys: &["sparseloco.outer_learning_rate"], breach: outer_rates_are_in_order },
];

/// The problems between keys.
pub(crate) fn breaches(facts: &Facts<'_>, broken: &BTreeSet<&'static str>) -> Vec<Problem> {
    let breaches: Vec<_> =
        RELATIONS.iter().filter_map(|relation| relation.check(facts, broken)).collect();
    // The model repeats some of the rules, with messages that do not name the keys.
    if breaches.is_empty() && broken.is_empty() {
        facts.model_breach().into_iter().collect()
    } else {
        breaches
    }
}

impl Facts<'_> {
    fn problem(&self, key: &str, rule: String) -> Problem {
        Problem::quoting(self.origin(key), key, show::value(self.config, key), rule)
    }

    fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// A key with its value and origin, for the other side of a rule.
    fn quote(&self, key: &str) -> String {
        format!("`{key}` = {} ({})", show::value(self.config, key), self.origin(key))
    }

    /// A rule of the model that is not repeated here.
    fn model_breach(&self) -> Option<Problem> {
        // The vocabulary size comes from the data; any size serves to check the rest.
        let error = self.config.model.shape.as_ref()?.model_config(1).err()?;
        Some(self.problem(&format!("model.{}", error.field), error.rule))
    }

    /// Returns true if the width of a head is derived from the hidden width.
    fn head_dim_follows(&self) -> bool {
        *self.origin("model.head_dim") == Origin::Default
    }
}

fn heads_divide_the_width(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks =
        facts.head_dim_follows() && !shape.hidden_size.is_multiple_of(shape.num_attention_heads);
    breaks.then(|| {
        format!("must divide {}, unless `model.head_dim` is set", facts.quote("model.hidden_size"))
    })
}

fn kv_heads_divide_heads(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks = !shape.num_attention_heads.is_multiple_of(shape.num_key_value_heads);
    breaks.then(|| format!("must divide {}", facts.quote("model.num_attention_heads")))
}

fn head_width_is_even(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    // If the heads do not divide the width, that is the problem to report: the derived width is
    // rounded, so it is odd or even by chance.
    let reported = heads_divide_the_width(facts).is_some();
    (!reported && !shape.head_dim.is_multiple_of(2))
        .then(|| "must be even, since rotary positions rotate pairs".to_owned())
}

fn low_factor_is_below_high(facts: &Facts<'_>) -> Option<String> {
    let scaling = facts.config.model.shape.as_ref()?.rope_scaling?;
    let breaks = scaling.low_freq_factor >= scaling.high_freq_factor;
    breaks.then(|| "must have low_freq_factor below high_freq_factor".to_owned())
}

fn positions_cover_the_sequence(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks = facts.config.data.sequence_length > shape.max_position_embeddings;
    breaks.then(|| format!("must be at most {}", facts.quote("model.max_position_embeddings")))
}

fn training_has_data(facts: &Facts<'_>) -> Option<String> {
    // `covey plan` and `covey config show` work without data.
    let breaks = facts.purpose == Purpose::Train && facts.config.data.sources.is_empty();
    breaks.then(|| {
        "must name a folder made by `covey prepare`, as `--data FOLDER` or in the file".to_owned()
    })
}

fn micro_batches_divide_the_batch(facts: &Facts<'_>) -> Option<String> {
    let train = &facts.config.train;
    let breaks = !train.batch_size.is_multiple_of(train.micro_batch_size);
    breaks.then(|| format!("must divide {}", facts.quote("train.batch_size")))
}

fn warmup_ends_within_the_run(facts: &Facts<'_>) -> Option<String> {
    let breaks = facts.config.schedule.warmup_steps > facts.config.train.steps;
    breaks.then(|| format!("must be at most {}", facts.quote("train.steps")))
}

fn flat_windows_do_not_overlap(facts: &Facts<'_>) -> Option<String> {
    // Sorted there by start, so neighbours suffice.
    let windows = facts.config.schedule().flat_windows;
    windows.windows(2).find_map(|pair| match pair {
        [first, second] if first.start.saturating_add(first.length) > second.start => {
            Some(format!(
                "must not overlap, {} steps from {} reach past {}",
                first.length, first.start, second.start
            ))
        }
        _ => None,
    })
}

/// A rewind to before step 0, as the schedule reports it.
fn rewinds_stay_in_the_run(facts: &Facts<'_>) -> Option<String> {
    let finding = facts
        .config
        .schedule()
        .check()
        .into_iter()
        .find(|finding| finding.key.starts_with("rewinds"))?;
    Some(format!("must not set the clock back to before its start, as {} steps do", finding.got))
}

fn expected_peers_can_be_included(facts: &Facts<'_>) -> Option<String> {
    // A round that waits for more peers than it includes would exclude some of them each time.
    let rounds = &facts.config.rounds;
    let breaks = rounds.min_peers > rounds.max_included;
    breaks.then(|| format!("must be at most {}", facts.quote("rounds.max_included")))
}

fn k_fits_into_a_chunk(facts: &Facts<'_>) -> Option<String> {
    let finding =
        facts.config.sparseloco().check().into_iter().find(|finding| finding.key == "k")?;
    Some(finding.rule.to_string())
}

fn outer_rates_are_in_order(facts: &Facts<'_>) -> Option<String> {
    let finding = facts
        .config
        .sparseloco()
        .check()
        .into_iter()
        .find(|finding| finding.key.starts_with("outer_learning_rate"))?;
    Some(finding.rule.to_string())
}
