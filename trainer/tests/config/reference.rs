//! The generated reference of all keys.

use std::path::Path;
use std::{env, fs};

#[cfg(not(feature = "evm"))]
use covey::cli::help_markdown;
use covey::config::schema::{GROUPS, KEYS, key_list, markdown};

fn check_page(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if env::var_os("COVEY_UPDATE_DOCS").is_some() {
        fs::write(&path, generated).expect("docs are writable");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == generated,
        "docs/{name} is stale; update it with `COVEY_UPDATE_DOCS=1 cargo test -p covey --test \
         config`"
    );
}

#[test]
fn the_reference_of_all_keys_is_up_to_date() {
    check_page("config.md", &markdown());
}

// The page is that of the default build: feature `evm` adds a command.
#[cfg(not(feature = "evm"))]
#[test]
fn the_help_of_every_command_is_up_to_date() {
    check_page("commands.md", &help_markdown());
}

#[test]
fn every_key_is_in_reference_and_list() {
    let (page, list) = (markdown(), key_list());
    for key in KEYS {
        assert!(page.contains(&format!("| `{}` |", key.parts().1)), "{}", key.path);
        assert!(
            list.contains(&format!("\n  {}", key.path)) && list.contains(key.doc),
            "{}",
            key.path
        );
    }
}

#[test]
fn every_key_has_a_known_group_and_a_unique_name() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(GROUPS.iter().any(|(group, _)| *group == key.parts().0), "{}", key.path);
        assert!(KEYS.iter().skip(index + 1).all(|other| other.path != key.path), "{}", key.path);
    }
}

#[test]
fn the_reference_names_scope_and_former_name() {
    let page = markdown();
    let row = page.lines().find(|line| line.starts_with("| `max_missed_rounds` |"));
    let row = row.expect("has a row");
    assert!(row.contains("| run |") && row.ends_with("Formerly `patience`. |"), "{row}");
    let row = page.lines().find(|line| line.starts_with("| `key_file` |")).expect("has a row");
    assert!(row.contains("| machine |"), "{row}");
}
