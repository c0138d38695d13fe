//! Rules between keys, checked once every key is fine by itself.

use std::collections::BTreeSet;

use super::problem::Problem;
use crate::config::layers::{Origin, Origins, Purpose};
use crate::config::schema::Config;
use crate::config::show;

/// What the rules look at.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) origins: &'a Origins,
    pub(crate) purpose: Purpose,
}

/// A rule between keys: the first key is the one to blame, and no rule looks at a key that is broken by itself.
struct Relation {
    keys: &'static [&'static str],
    /// What the first key must be, if it is not.
    breach: fn(&Facts<'_>) -> Option<String>,
}

const RELATIONS: &[Relation] = &[
    Relation {
        keys: &["model.num_attention_heads", "model.hidden_size", "model.head_dim"],
        breach: heads_share_the_width,
    },
    Relation {
        keys: &["model.num_key_value_heads", "model.num_attention_heads"],
        breach: heads_share_keys,
    },
    Relation {
        keys: &["model.head_dim", "model.hidden_size", "model.num_attention_heads"],
        breach: heads_turn_pairs,
    },
    Relation { keys: &["model.rope_scaling"], breach: low_frequencies_are_lower },
    Relation {
        keys: &["data.sequence_length", "model.max_position_embeddings"],
        breach: sequences_have_positions,
    },
    Relation { keys: &["data.sources"], breach: training_needs_data },
    Relation {
        keys: &["train.micro_batch_size", "train.batch_size"],
        breach: micro_batches_fill_the_batch,
    },
    Relation {
        keys: &["schedule.warmup_steps", "train.steps"],
        breach: warmup_ends_within_the_run,
    },
    Relation { keys: &["schedule.flat_windows"], breach: flat_windows_are_apart },
    Relation { keys: &["schedule.rewind"], breach: the_clock_stays_positive },
    Relation {
        keys: &["rounds.min_peers", "rounds.max_included"],
        breach: rounds_take_the_peers_they_wait_for,
    },
    Relation { keys: &["sparseloco.k"], breach: chunks_have_the_values },
    Relation { keys: &["sparseloco.outer_learning_rate"], breach: outer_rates_follow_each_other },
];

/// Everything in which the keys do not fit together.
pub(crate) fn breaches(facts: &Facts<'_>, broken: &BTreeSet<&'static str>) -> Vec<Problem> {
    let whole = |relation: &&Relation| relation.keys.iter().all(|key| !broken.contains(key));
    let breach = |relation: &Relation| {
        let key = relation.keys.first()?;
        Some(facts.problem(key, (relation.breach)(facts)?))
    };
    let breaches: Vec<_> = RELATIONS.iter().filter(whole).filter_map(breach).collect();
    match breaches.is_empty() && broken.is_empty() {
        true => facts.model_breach().into_iter().collect(),
        false => breaches,
    }
}

impl Facts<'_> {
    fn problem(&self, key: &str, rule: String) -> Problem {
        Problem::quoting(self.origin(key), key, show::value(self.config, key), rule)
    }

    fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// A key with its value and place, for the other side of a rule.
    fn quote(&self, key: &str) -> String {
        format!("`{key}` = {} ({})", show::value(self.config, key), self.origin(key))
    }

    /// Whatever the model itself objects to beyond the rules here.
    fn model_breach(&self) -> Option<Problem> {
        // The vocabulary comes with the data; any will do to check the rest.
        let error = self.config.model.shape.as_ref()?.model_config(1).err()?;
        Some(self.problem(&format!("model.{}", error.field), error.rule))
    }

    /// Whether nobody gave the width of a head, so that it follows from width and heads.
    fn head_dim_follows(&self) -> bool {
        *self.origin("model.head_dim") == Origin::Default
    }
}

fn heads_share_the_width(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks =
        facts.head_dim_follows() && !shape.hidden_size.is_multiple_of(shape.num_attention_heads);
    breaks.then(|| {
        format!("must divide {}, unless `model.head_dim` is set", facts.quote("model.hidden_size"))
    })
}

fn heads_share_keys(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks = !shape.num_attention_heads.is_multiple_of(shape.num_key_value_heads);
    breaks.then(|| format!("must divide {}", facts.quote("model.num_attention_heads")))
}

fn heads_turn_pairs(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    // A width that follows from heads that do not divide has been complained of already.
    let reported = heads_share_the_width(facts).is_some();
    (!reported && !shape.head_dim.is_multiple_of(2))
        .then(|| "must be even, rotary positions turn pairs".to_owned())
}

fn low_frequencies_are_lower(facts: &Facts<'_>) -> Option<String> {
    let scaling = facts.config.model.shape.as_ref()?.rope_scaling?;
    let breaks = scaling.low_freq_factor >= scaling.high_freq_factor;
    breaks.then(|| "must have low_freq_factor below high_freq_factor".to_owned())
}

fn sequences_have_positions(facts: &Facts<'_>) -> Option<String> {
    let shape = facts.config.model.shape.as_ref()?;
    let breaks = facts.config.data.sequence_length > shape.max_position_embeddings;
    breaks.then(|| format!("must be at most {}", facts.quote("model.max_position_embeddings")))
}

fn training_needs_data(facts: &Facts<'_>) -> Option<String> {
    let breaks = facts.purpose == Purpose::Train && facts.config.data.sources.is_empty();
    breaks.then(|| {
        "must name a folder made by `covey prepare`, as `--data FOLDER` or in the file".to_owned()
    })
}

fn micro_batches_fill_the_batch(facts: &Facts<'_>) -> Option<String> {
    let train = &facts.config.train;
    let breaks = !train.batch_size.is_multiple_of(train.micro_batch_size);
    breaks.then(|| format!("must divide {}", facts.quote("train.batch_size")))
}

fn warmup_ends_within_the_run(facts: &Facts<'_>) -> Option<String> {
    let breaks = facts.config.schedule.warmup_steps > facts.config.train.steps;
    breaks.then(|| format!("must be at most {}", facts.quote("train.steps")))
}

fn flat_windows_are_apart(facts: &Facts<'_>) -> Option<String> {
    let windows = facts.config.schedule().flat_windows;
    let overlap = windows.windows(2).find_map(|pair| match pair {
        [first, second] if first.start.saturating_add(first.length) > second.start => {
            Some((*first, *second))
        }
        _ => None,
    });
    overlap.map(|(first, second)| {
        format!(
            "must not overlap, {} steps from {} reach past {}",
            first.length, first.start, second.start
        )
    })
}

/// Everything else that the schedule objects to, which is rewinds to before its start.
fn the_clock_stays_positive(facts: &Facts<'_>) -> Option<String> {
    let finding = facts
        .config
        .schedule()
        .check()
        .into_iter()
        .find(|finding| finding.key.starts_with("rewinds"))?;
    Some(format!("must not set the clock back to before its start, as {} steps do", finding.got))
}

fn rounds_take_the_peers_they_wait_for(facts: &Facts<'_>) -> Option<String> {
    let rounds = &facts.config.rounds;
    let breaks = rounds.min_peers > rounds.max_included;
    breaks.then(|| format!("must be at most {}", facts.quote("rounds.max_included")))
}

fn chunks_have_the_values(facts: &Facts<'_>) -> Option<String> {
    let finding =
        facts.config.sparseloco().check().into_iter().find(|finding| finding.key == "k")?;
    Some(finding.rule.to_string())
}

fn outer_rates_follow_each_other(facts: &Facts<'_>) -> Option<String> {
    let wrong = |key: &str| key.starts_with("outer_learning_rate");
    let finding =
        facts.config.sparseloco().check().into_iter().find(|finding| wrong(&finding.key))?;
    Some(finding.rule.to_string())
}
