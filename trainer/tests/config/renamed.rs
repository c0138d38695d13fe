//! Former names of keys: accepted for one release, with a note.

use covey::config::layers::{Layers, Purpose, Resolved};
use covey::config::schema::KEYS;
use insta::assert_snapshot;

use crate::{complaint, file, meaning, variables, wrapped};

/// Every renamed key: group, former name, name, and a value that is not the default.
const RENAMED: &[(&str, &str, &str, &str)] = &[
    ("memory", "recompute", "activation_checkpointing", "\"blocks\""),
    ("memory", "recompute_every", "activation_checkpoint_every", "2"),
    ("memory", "offload", "offload_optimizer", "true"),
    ("memory", "gather_for", "micro_batches_per_gather", "3"),
    ("rounds", "deadline", "commit_deadline", "11.5"),
    ("rounds", "takeover", "judging_timeout", "12.5"),
    ("rounds", "patience", "max_missed_rounds", "13"),
    ("gauntlet", "evaluations", "num_evaluated", "14"),
    ("gauntlet", "exploration", "exploration_share", "0.15"),
    ("gauntlet", "doubt", "unproven_weight_factor", "0.16"),
    ("gauntlet", "bins", "rating_bins", "17"),
    ("gauntlet", "reserves", "num_reserves", "18"),
    ("gauntlet", "windows", "eval_windows", "19"),
    ("gauntlet", "eval_rate", "eval_rate_ratio", "0.21"),
    ("gauntlet", "bma_bar", "bma_threshold", "0.22"),
    ("gauntlet", "useful_share", "min_gain_ratio", "0.23"),
    ("gauntlet", "draw_share", "tie_gain_ratio", "0.24"),
    ("gauntlet", "memory", "forget_after_rounds", "25"),
    ("sparseloco", "decay", "feedback_decay", "0.26"),
    ("sparseloco", "mass_return", "return_excluded", "false"),
    ("comms", "key", "key_file", "\"elsewhere.key\""),
    ("comms", "poll", "poll_interval", "0.27"),
    ("comms", "retry", "retry_timeout", "28.5"),
];

/// Every renamed field: key, former name, name, value.
const RENAMED_FIELDS: &[(&str, &str, &str, &str)] = &[
    ("gauntlet.penalties", "network", "min_delivery_share", "0.29"),
    ("gauntlet.penalties", "trouble_rank", "min_helpful_peers", "31"),
];

/// Every replaced word for "no value": key, former word, word.
const REPLACED_WORDS: &[(&str, &str, &str)] = &[
    ("run.threads", "all", "auto"),
    ("model.vocab_size", "data", "auto"),
    ("train.eval_every", "never", "none"),
    ("sparseloco.clip", "off", "none"),
];

fn resolved(layers: Layers) -> Resolved {
    layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}"))
}

fn notes(layers: Layers) -> Vec<String> {
    resolved(layers).renamed.iter().map(ToString::to_string).collect()
}

fn variable(path: &str) -> String {
    format!("COVEY_{}", path.replace('.', "__").to_uppercase())
}

/// The three ways to set a key by its name.
fn written(path: &str, value: &str) -> [Layers; 3] {
    [
        file(&format!("{path} = {value}")),
        Layers::new().environment(variables(&[(&variable(path), value)])),
        Layers::new().set(&format!("{path}={value}")),
    ]
}

#[test]
fn the_list_of_renamed_keys_is_complete() {
    let keys: Vec<_> =
        KEYS.iter().filter_map(|key| Some((key.parts().0, key.formerly?, key.parts().1))).collect();
    let listed: Vec<_> =
        RENAMED.iter().map(|(group, former, name, _)| (*group, *former, *name)).collect();
    assert_eq!(keys, listed);
    let words: Vec<_> = KEYS
        .iter()
        .filter_map(|key| key.replaced_word.map(|(former, word)| (key.path, former, word)))
        .collect();
    assert_eq!(words, REPLACED_WORDS);
}

#[test]
fn every_former_key_gives_the_same_config_and_one_note() {
    for (group, former, name, value) in RENAMED {
        let (former, name) = (format!("{group}.{former}"), format!("{group}.{name}"));
        for (old, new) in written(&former, value).into_iter().zip(written(&name, value)) {
            let (old, new) = (resolved(old), resolved(new));
            assert_eq!(old.config, new.config, "{former}");
            assert_ne!(new.config, meaning(Layers::new()), "{name} = {value} is the default");
            assert_eq!((old.renamed.len(), new.renamed.len()), (1, 0), "{former}");
            assert_eq!((&old.renamed[0].former, &old.renamed[0].current), (&former, &name));
        }
    }
}

#[test]
fn every_former_field_gives_the_same_config_and_one_note() {
    for (key, former, name, value) in RENAMED_FIELDS {
        let record = |field: &str| format!("{{ {field} = {value}, ban_rounds = 3 }}");
        for (old, new) in written(key, &record(former)).into_iter().zip(written(key, &record(name)))
        {
            let (old, new) = (resolved(old), resolved(new));
            assert_eq!(old.config, new.config, "{former}");
            assert_ne!(new.config, meaning(Layers::new()), "{name} = {value} is the default");
            assert_eq!((old.renamed.len(), new.renamed.len()), (1, 0), "{former}");
            assert_eq!(old.renamed[0].current, format!("{key}.{name}"));
        }
    }
}

#[test]
fn every_former_word_gives_the_same_config_without_a_note() {
    for (key, former, word) in REPLACED_WORDS {
        for quote in ["", "\""] {
            let [old, new] = [former, word]
                .map(|word| resolved(Layers::new().set(&format!("{key}={quote}{word}{quote}"))));
            assert_eq!((old.config.clone(), old.renamed.len()), (new.config, 0), "{key}={former}");
            let shown = old.show();
            assert!(shown.contains(&format!(" = \"{word}\" ")), "{shown}");
            assert!(!shown.contains(&format!("\"{former}\"")), "{shown}");
        }
    }
}

#[test]
fn a_note_gives_the_new_name_as_its_place_spells_it() {
    let layers = file("[rounds]\ndeadline = 5\n")
        .environment(variables(&[
            ("COVEY_COMMS__POLL", "1"),
            ("COVEY_GAUNTLET__PENALTIES", "{ network = 0.5 }"),
        ]))
        .set("memory.offload=true");
    assert_snapshot!(wrapped(&notes(layers).join("\n")), @r"
    `rounds.deadline` is now `rounds.commit_deadline` (run.toml:2); the next release will not
            accept the former name
    `COVEY_COMMS__POLL` is now `COVEY_COMMS__POLL_INTERVAL`; the next release will not accept
            the former name
    `gauntlet.penalties.network` is now `gauntlet.penalties.min_delivery_share`
            (COVEY_GAUNTLET__PENALTIES); the next release will not accept the former name
    `memory.offload` is now `memory.offload_optimizer` (--set); the next release will not accept
            the former name
    ");
}

#[test]
fn a_key_that_several_layers_set_under_its_former_name_has_one_note() {
    let layers = file("rounds.patience = 4")
        .environment(variables(&[("COVEY_ROUNDS__PATIENCE", "5")]))
        .set("rounds.patience=6")
        .set("rounds.patience=7");
    assert_eq!(meaning(layers.clone()).rounds.max_missed_rounds, 7);
    assert_eq!(notes(layers).len(), 1);
}

#[test]
fn both_names_in_one_layer_are_refused() {
    let layers = file("[rounds]\npatience = 4\nmax_missed_rounds = 5\n")
        .environment(variables(&[
            ("COVEY_COMMS__POLL", "1"),
            ("COVEY_COMMS__POLL_INTERVAL", "2"),
            ("COVEY_GAUNTLET__PENALTIES", "{ network = 0.5, min_delivery_share = 0.5 }"),
        ]))
        .set("sparseloco.feedback_decay=0.5")
        .set("sparseloco.decay=0.6");
    assert_snapshot!(complaint(layers), @r"
    error: 4 problems in the configuration
      run.toml:2                 rounds.patience = 4               is the former name of
            `rounds.max_missed_rounds`, which is also set
      COVEY_COMMS__POLL          comms.poll = 1                    is the former name of
            `COVEY_COMMS__POLL_INTERVAL`, which is also set
      COVEY_GAUNTLET__PENALTIES  gauntlet.penalties.network = 0.5  is the former name of
            `gauntlet.penalties.min_delivery_share`, which is also set
      --set                      sparseloco.decay = 0.6            is the former name of
            `sparseloco.feedback_decay`, which is also set
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn a_later_layer_can_use_the_new_name() {
    let layers = file("rounds.patience = 4").set("rounds.max_missed_rounds=5");
    assert_eq!(meaning(layers).rounds.max_missed_rounds, 5);
    let layers = file("rounds.max_missed_rounds = 4").set("rounds.patience=5");
    assert_eq!(meaning(layers).rounds.max_missed_rounds, 5);
}

#[test]
fn a_former_name_is_never_the_name_of_a_key() {
    for key in KEYS.iter().filter_map(|key| key.former_path()) {
        assert!(KEYS.iter().all(|other| other.path != key), "{key}");
    }
}

#[test]
fn a_misspelt_former_name_leads_to_the_new_one() {
    assert_snapshot!(complaint(Layers::new().set("rounds.takeovr=5")), @r"
    error: 1 problem in the configuration
      --set  rounds.takeovr = 5  unknown key, did you mean `rounds.judging_timeout`?
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}
