//! Presets: exact numbers of parameters, and the invariants of a config.

use covey_model::config::{ModelConfig, ParameterSpec, preset, preset_names};

#[test]
fn presets_have_their_exact_number_of_parameters() {
    // Counted manually. A block has hidden * (2 * query + 2 * kv) + 3 * hidden * intermediate
    // + 2 * hidden; then all blocks, the final norm, embedding and head.
    let expected: [(&str, u64); 6] = [
        ("tiny", 4 * 184_576 + 128 + 4096 * 128),
        ("150m", 12 * 12_453_888 + 1024 + 2 * 32_000 * 1024),
        ("500m", 12 * 34_507_776 + 1536 + 2 * 32_000 * 1536),
        ("1b", 16 * 67_112_960 + 2048 + 2 * 32_000 * 2048),
        ("8b", 8_030_261_248),
        ("covenant-72b", 72_747_327_488),
    ];
    let counted: Vec<_> =
        preset_names().map(|name| (name, preset(name).unwrap().num_parameters())).collect();
    assert_eq!(counted, expected);
}

#[test]
fn covenant_72b_would_be_smaller_with_tied_embeddings() {
    let tied = ModelConfig { tied: true, ..preset("covenant-72b").unwrap() };
    assert_eq!(tied.num_parameters(), 70_599_843_840);
}

#[test]
fn the_number_of_parameters_is_the_sum_over_their_list() {
    for name in preset_names() {
        let config = preset(name).unwrap();
        let listed: usize = config.parameters().iter().map(ParameterSpec::num_elements).sum();
        assert_eq!(config.num_parameters(), listed as u64, "{name}");
    }
}

#[test]
fn presets_satisfy_the_invariants_of_a_config() {
    for name in preset_names() {
        let config = preset(name).unwrap();
        assert_eq!(config.query_width(), config.hidden_size, "{name}");
        assert!(config.checked().is_ok(), "{name}");
    }
}

#[test]
fn an_unknown_name_gives_no_preset() {
    assert_eq!(preset("7b"), None);
    assert_eq!(preset("TINY"), None);
}
