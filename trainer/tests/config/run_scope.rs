//! The keys that a distributed run fixes, and the config that its peers share.

use std::path::Path;

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::{Config, KEYS};
use covey_comms::primitives::Digest;
use covey_optim::sparseloco::Clip;

use crate::{file, meaning};

/// The config of a run that the release before the renaming of keys created with
///
/// ```text
/// covey init BUCKET --preset tiny --data FOLDER --steps 400 --set run.name=golden \
///   --set rounds.inner_steps=10 --set rounds.max_included=4 --set rounds.deadline=301 …
/// ```
///
/// and its digest, which is part of the run ID.
const SHARED: &str = include_str!("shared_v2.toml");
const DIGEST: &str = "1baf5e824f938f73e447dae0c3624709e9a4eee86ddcb1300d8d6543c41929d4";

/// Every key that a run fixes. A new key belongs here only if peers must not differ in it: its
/// value is read from runs that other people create.
const OF_RUN: &[&str] = &[
    "run.name",
    "run.seed",
    "model.preset",
    "model.from",
    "model.vocab_size",
    "model.hidden_size",
    "model.intermediate_size",
    "model.num_hidden_layers",
    "model.num_attention_heads",
    "model.num_key_value_heads",
    "model.head_dim",
    "model.max_position_embeddings",
    "model.rms_norm_eps",
    "model.rope_theta",
    "model.rope_scaling",
    "model.tie_word_embeddings",
    "data.sequence_length",
    "data.held_out_windows",
    "train.steps",
    "train.batch_size",
    "optim.learning_rate",
    "optim.beta1",
    "optim.beta2",
    "optim.epsilon",
    "optim.weight_decay",
    "optim.clip_norm",
    "schedule.kind",
    "schedule.warmup_steps",
    "schedule.warmup_start_ratio",
    "schedule.final_ratio",
    "schedule.decay_steps",
    "schedule.stable_steps",
    "schedule.flat_windows",
    "schedule.rewind",
    "schedule.anneal",
    "rounds.inner_steps",
    "rounds.min_peers",
    "rounds.max_included",
    "rounds.commit_deadline",
    "rounds.reveal_deadline",
    "rounds.judging_timeout",
    "rounds.max_missed_rounds",
    "rounds.checkpoint_every",
    "rounds.keep_checkpoints",
    "rounds.join_warmup_steps",
    "rounds.overlap",
    "gauntlet.num_evaluated",
    "gauntlet.exploration_share",
    "gauntlet.unproven_weight_factor",
    "gauntlet.rating_bins",
    "gauntlet.num_reserves",
    "gauntlet.eval_windows",
    "gauntlet.eval_rate_ratio",
    "gauntlet.bma_decay",
    "gauntlet.bma_threshold",
    "gauntlet.probation",
    "gauntlet.invalid_score",
    "gauntlet.min_gain_ratio",
    "gauntlet.tie_gain_ratio",
    "gauntlet.norm_ratio",
    "gauntlet.loss_tolerance",
    "gauntlet.forget_after_rounds",
    "gauntlet.rating",
    "gauntlet.overlap",
    "gauntlet.penalties",
    "gauntlet.payout",
    "sparseloco.profile",
    "sparseloco.k",
    "sparseloco.dct",
    "sparseloco.feedback_decay",
    "sparseloco.mean_over",
    "sparseloco.clip",
    "sparseloco.return_excluded",
    "sparseloco.outer_learning_rate",
];

fn shared() -> String {
    let layers = Layers::new()
        .set("train.steps=30")
        .set("data.sources=[{path = \"a\"}]")
        .set("run.threads=3");
    meaning(layers).shared_toml()
}

fn within(settings: &[&str]) -> covey::system::error::Result<Config> {
    let layers = settings.iter().fold(Layers::new(), |layers, setting| layers.set(setting));
    Ok(layers.resolve_within(&shared(), Purpose::Show)?.config)
}

#[test]
fn a_run_fixes_exactly_these_keys() {
    let of_run: Vec<_> = KEYS.iter().filter(|key| key.is_of_run()).map(|key| key.path).collect();
    assert_eq!(of_run, OF_RUN);
}

#[test]
fn the_shared_config_has_the_keys_of_the_run_only() {
    let table: toml::Table = shared().parse().unwrap();
    for key in KEYS.iter().filter(|key| !key.is_of_run()) {
        let (group, name) = key.parts();
        for name in [Some(name), key.formerly].into_iter().flatten() {
            let is_absent = table.get(group).is_none_or(|group| group.get(name).is_none());
            assert!(is_absent, "{}", key.path);
        }
    }
    assert_eq!(table["train"]["steps"].as_integer(), Some(30));
}

#[test]
fn a_shared_config_of_the_previous_release_is_read_and_keeps_its_bytes() {
    assert_eq!(Digest::of(SHARED.as_bytes()).to_string(), DIGEST);
    let config = Config::from_shared_toml(SHARED).unwrap();
    assert_eq!(config.shared_toml(), SHARED);

    let (rounds, gauntlet) = (&config.rounds, &config.gauntlet);
    assert_eq!((rounds.commit_deadline, rounds.judging_timeout), (301.0, 601.0));
    assert_eq!((rounds.max_missed_rounds, rounds.inner_steps), (4, 10));
    assert_eq!((gauntlet.exploration_share, gauntlet.unproven_weight_factor), (0.26, 0.11));
    assert_eq!((config.sparseloco.feedback_decay, config.sparseloco.clip), (0.96, Clip::Off));
    assert_eq!((config.sparseloco.return_excluded, config.optim.clip_norm), (false, None));
}

#[test]
fn a_shared_config_is_read_under_both_names() {
    let config = Config::from_shared_toml(SHARED).unwrap();
    // All keys under current names; those of the machine are ignored.
    let current = config.to_toml();
    assert!(current.contains("max_missed_rounds = 4") && !current.contains("patience"));
    assert_eq!(Config::from_shared_toml(&current).unwrap(), config);
}

#[test]
fn the_shared_config_is_the_same_from_old_and_new_settings() {
    let old = file("rounds.patience = 4\nsparseloco.clip = \"off\"\ngauntlet.doubt = 0.2");
    let new = file(
        "rounds.max_missed_rounds = 4\nsparseloco.clip = \"none\"\n\
         gauntlet.unproven_weight_factor = 0.2",
    );
    assert_eq!(meaning(old).shared_toml(), meaning(new).shared_toml());
}

#[test]
fn keys_of_the_machine_in_a_shared_config_are_ignored() {
    let foreign = format!(
        "{SHARED}\n[comms]\nkey_file = \"/foreign\"\nretry = 1\n\n[memory]\nlimit = 1\n\n\
         [checkpoint]\nkeep = 99\n"
    );
    let config = Config::from_shared_toml(&foreign).unwrap();
    assert_eq!(config, Config::from_shared_toml(SHARED).unwrap());

    let layers = Layers::new().set("checkpoint.keep=5");
    let resolved = layers.resolve_within(&foreign, Purpose::Show).unwrap();
    assert_eq!((resolved.config.checkpoint.keep, resolved.config.memory.limit), (5, None));
    assert_eq!(resolved.config.comms.key_file, Path::new("runs/golden/peer.key"));
    assert_eq!(resolved.renamed, [], "names in a run are not the user's");
}

#[test]
fn a_peer_sets_the_keys_of_its_machine() {
    let settings =
        ["train.micro_batch_size=2", "run.threads=1", "comms.poll_interval=0.5", "run.output=here"];
    let config = within(&settings).unwrap();
    assert_eq!(
        (config.train.steps, config.train.micro_batch_size, config.run.threads),
        (30, 2, Some(1))
    );
    assert_eq!(config.comms.poll_interval, 0.5);
    assert_eq!(config.comms.key_file, Path::new("here/peer.key"));
}

#[test]
fn another_value_for_a_key_of_the_run_is_refused() {
    assert!(within(&["train.steps=30", "optim.beta1=0.9"]).is_ok(), "the same value is fine");
    let settings = [
        "train.steps=31",
        "model.hidden_size=64",
        "sparseloco.k=8",
        "rounds.min_peers=3",
        "run.seed=1",
        "rounds.max_missed_rounds=9",
    ];
    for setting in settings {
        let (path, value) = setting.split_once('=').unwrap();
        let message = within(&[setting]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{path} = {value}, but the run has ")), "{message}");
    }
    let message = within(&["rounds.patience=9"]).unwrap_err().to_string();
    assert_eq!(message, "rounds.max_missed_rounds = 9, but the run has 3");
}
