//! The output of `covey config show`, and the other written forms of a config.

use std::path::Path;

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use insta::assert_snapshot;

use crate::{file, meaning, variables, wrapped};

/// Configs that together use every type of value.
fn samples() -> Vec<Layers> {
    let full = r#"
        data.sources = [{ path = "a", weight = 0.30000000000000004 }, { path = "b" }]
        optim = { clip_norm = "none", epsilon = 1.0e-300 }
        train.eval_every = "none"
        sparseloco.clip = "none"
        gauntlet.penalties = { min_delivery_share = 0.5, min_helpful_peers = 2 }

        [run]
        name = "höhe"
        output = "a \"quoted\"\\path"
        seed = 9223372036854775807
        threads = 2
        [model.rope_scaling]
        factor = 8
        low_freq_factor = 1
        high_freq_factor = 4
        original_max_position_embeddings = 64
        [schedule]
        kind = "wsd"
        anneal = { start = 5, warmup_steps = 0, peak_ratio = 1, decay_steps = 3 }
    "#;
    let presets = ["tiny", "150m", "500m", "1b", "8b", "covenant-72b"]
        .map(|name| Layers::new().flag("--preset", "model.preset", name));
    presets.into_iter().chain([file(full), Layers::new().set("model.from=trained")]).collect()
}

#[test]
fn shown_config_reads_back_the_same() {
    for layers in samples() {
        let resolved = layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}"));
        let shown = resolved.show();
        assert_eq!(meaning(file(&shown)), resolved.config, "{shown}");
    }
}

#[test]
fn stored_config_reads_back_the_same() {
    for layers in samples() {
        let config = meaning(layers);
        let stored = config.to_toml();
        let read = Config::from_toml(&stored, Path::new("config.toml"))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((read.to_toml(), read), (stored, config));
    }
}

#[test]
fn serialised_config_reads_back_the_same() {
    for layers in samples() {
        let config = meaning(layers);
        let text = serde_json::to_string(&config).expect("is plain data");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("is plain data"), config);
    }
}

#[test]
fn every_value_is_shown_with_its_origin() {
    let layers =
        file("[train]\nsteps = 100\nbatch_size = 16\n\n[[data.sources]]\npath = \"prepared\"\n")
            .environment(variables(&[("COVEY_OPTIM__LEARNING_RATE", "0.001")]))
            .flag("--seed", "run.seed", 7)
            .set("optim.clip_norm=none")
            .set("model.preset=covenant-72b")
            .set("schedule.warmup_steps=10");
    let shown = layers.resolve(Purpose::Train).unwrap_or_else(|error| panic!("{error}")).show();
    assert_snapshot!(wrapped(&shown), @r#"
    [run]
    name = "run"         # default
    output = "runs/run"  # default
    seed = 7             # --seed
    device = "cpu"       # default
    threads = "auto"     # default

    [model]
    preset = "covenant-72b"         # --set
    from = "none"                   # default
    vocab_size = 262144             # preset covenant-72b
    hidden_size = 8192              # preset covenant-72b
    intermediate_size = 28672       # preset covenant-72b
    num_hidden_layers = 80          # preset covenant-72b
    num_attention_heads = 64        # preset covenant-72b
    num_key_value_heads = 8         # preset covenant-72b
    head_dim = 128                  # default
    max_position_embeddings = 2048  # preset covenant-72b
    rms_norm_eps = 1e-5             # preset covenant-72b
    rope_theta = 500000.0           # preset covenant-72b
    rope_scaling = "none"           # preset covenant-72b
    tie_word_embeddings = false     # preset covenant-72b

    [data]
    sources = [{ path = "prepared", weight = 1.0 }]  # run.toml:5
    sequence_length = 2048                           # preset covenant-72b
    prefetch = 4                                     # default
    held_out_windows = 64                            # default

    [train]
    steps = 100           # run.toml:2
    batch_size = 16       # run.toml:3
    micro_batch_size = 1  # preset covenant-72b
    log_every = 10        # default
    eval_every = 1000     # preset covenant-72b
    precision = "fp32"    # default

    [memory]
    activation_checkpointing = "none"  # default
    activation_checkpoint_every = 1    # default
    offload_optimizer = false          # default
    micro_batches_per_gather = "auto"  # default
    limit = "auto"                     # default

    [optim]
    learning_rate = 0.001  # COVEY_OPTIM__LEARNING_RATE
    beta1 = 0.9            # preset covenant-72b
    beta2 = 0.95           # preset covenant-72b
    epsilon = 1e-8         # preset covenant-72b
    weight_decay = 0.1     # preset covenant-72b
    clip_norm = "none"     # --set

    [schedule]
    kind = "cosine"                            # preset covenant-72b
    warmup_steps = 10                          # --set
    warmup_start_ratio = 1e-6                  # preset covenant-72b
    final_ratio = 0.1                          # preset covenant-72b
    decay_steps = 140000                       # preset covenant-72b
    stable_steps = 0                           # default
    flat_windows = [{ start = 82200, length = 13500 }]  # preset covenant-72b
    rewind = [{ at = 121200, steps = 20000 }]  # preset covenant-72b
    anneal = { start = 183000, warmup_steps = 100, peak_ratio = 0.25, decay_steps = 4500 }  #
            preset covenant-72b

    [checkpoint]
    every = 500  # default
    keep = 3     # default

    [rounds]
    inner_steps = 30          # preset covenant-72b
    min_peers = 1             # default
    max_included = 20         # default
    commit_deadline = 1500.0  # preset covenant-72b
    reveal_deadline = 70.0    # default
    judging_timeout = 600.0   # default
    max_missed_rounds = 3     # default
    checkpoint_every = 10     # default
    keep_checkpoints = 2      # default
    join_warmup_steps = 30    # default
    overlap = false           # default

    [gauntlet]
    num_evaluated = 20            # default
    exploration_share = 0.25      # default
    unproven_weight_factor = 0.1  # default
    rating_bins = 5               # default
    num_reserves = 10             # default
    eval_windows = 16             # default
    eval_rate_ratio = 0.2         # default
    bma_decay = 0.95              # default
    bma_threshold = 0.3           # default
    probation = 10                # default
    invalid_score = -99.0         # default
    min_gain_ratio = 0.25         # default
    tie_gain_ratio = 0.4          # default
    norm_ratio = 10.0             # default
    loss_tolerance = 1e-4         # default
    forget_after_rounds = 1000    # default
    rating = { mu = 25.0, sigma = 8.333333333333334, beta = 7.0, tau = 0.1, kappa = 1e-4 }  #
            default
    overlap = { high = 0.4, max = 0.5, mega = 0.6, verbatim = 0.9, settled = 20 }  # default
    penalties = { inactive = 0.75, inactive_rounds = 3, undelivered = [0.75, 0.5, 0.0],
            unreliable = 4, negative = 0.25, negative_streak = 3, min_helpful_peers = 5, similar
            = 0.5, ban_rounds = 20, floor = 1e-4, min_delivery_share = 0.4 }  # default
    payout = { rule = "ramp", burn = 0.5, steepness = 2.0, included_share = 0.75, reserve_ratio
            = 0.5, exponent = 2.0 }  # default

    [sparseloco]
    profile = "covey"       # default
    k = 64                  # default
    dct = false             # default
    feedback_decay = 0.95   # default
    mean_over = "senders"   # default
    clip = "median-norm"    # default
    return_excluded = true  # default
    outer_learning_rate = [{ from_round = 0, rate = 1.0 }, { from_round = 3667, rate = 0.65 }]
            # preset covenant-72b

    [comms]
    key_file = "runs/run/peer.key"  # default
    upload_limit = "none"           # default
    download_limit = "none"         # default
    byte_budget = "none"            # default
    poll_interval = 0.5             # default
    retry_timeout = 300.0           # default
    "#);
}

#[test]
fn a_shape_from_a_model_folder_is_not_shown() {
    let shown = meaning(Layers::new().set("model.from=trained")).to_toml();
    let model: Vec<_> = shown
        .lines()
        .skip_while(|line| *line != "[model]")
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(model, ["[model]", "preset = \"tiny\"", "from = \"trained\""]);
}
