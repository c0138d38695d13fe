//! The reference of all keys, generated from the table that reads them.

use std::fmt::Write;

use super::keys::KEYS;
use super::presets::preset_table;
use super::schema::{ConfigKey, Fallback, GROUPS, KeyScope};
use super::value_type::{Field, ValueType};

const HEAD: &str = "\
# Configuration

<!-- Generated from the table of keys in `trainer/src/config/schema/keys.rs`. To update it, run
`COVEY_UPDATE_DOCS=1 cargo test -p covey --test config`. -->

A value can come from several places. For each key, the last of these takes precedence:

1. the defaults below,
2. a preset (`--preset tiny`, `model.preset`),
3. a TOML file (`covey train run.toml`),
4. environment variables: `COVEY_TRAIN__STEPS=100` sets `train.steps`,
5. the command line: flags such as `--steps 100`, then `--set train.steps=100`.

Lists and records are replaced as a whole. Paths are relative to the folder in which you start
`covey`. If a key can have no value, you write `none`, as in `clip_norm = \"none\"`; `auto` is a
computed value. `covey config show` prints every value with its origin.

The column *set by* is about distributed runs. Keys of the *run* have one value for all peers and
are part of the run; each *machine* chooses the others for itself. A renamed key is still accepted
under its former name for one release, with a note.

```toml
[model]
preset = \"150m\"

[data]
sources = [
  { path = \"prepared/web\", weight = 3.0 },
  { path = \"prepared/books\" },
]

[schedule]
kind = \"cosine\"
warmup_steps = 500
```
";

/// The page `docs/config.md`.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (group, about) in GROUPS {
        page += &format!("\n## `[{group}]`\n\n{about}\n\n");
        page += "| key | value | default | unit | set by | meaning |\n|---|---|---|---|---|---|\n";
        for key in members(group) {
            page += &key_rows(key);
        }
    }
    page += &format!("\n## Presets\n\n```text\n{}```\n", preset_table());
    page
}

/// Every key with type, default and meaning, for the terminal.
pub fn key_list() -> String {
    let mut list = String::new();
    for (group, about) in GROUPS {
        let blank = if list.is_empty() { "" } else { "\n" };
        writeln!(list, "{blank}[{group}]  {about}").expect("writing to a string cannot fail");
        for key in members(group) {
            let unit = if key.unit.is_empty() { String::new() } else { format!(" ({})", key.unit) };
            let (doc, value, default) = (key.doc, values(key), plain(&default(key)));
            write!(list, "\n  {}{unit}\n      {doc}\n      {value}; default {default}\n", key.path)
                .expect("writing to a string cannot fail");
        }
    }
    list
}

fn members(group: &str) -> impl Iterator<Item = &'static ConfigKey> {
    // In the order of the table, which is by importance, not by name.
    KEYS.iter().filter(move |key| key.parts().0 == group)
}

/// The row of a key, followed by those of its fields.
fn key_rows(key: &ConfigKey) -> String {
    let name = key.parts().1;
    let (scope, meaning) = (set_by(key.scope), with_former(key.doc, key.formerly));
    let (values, default) = (values(key), default(key));
    let row = format!("| `{name}` | {values} | {default} | {} | {scope} | {meaning} |\n", key.unit);
    // As TOML users write it: `sources[].path` is a field of each item.
    let parent = match key.kind {
        ValueType::List(_) => format!("{name}[]"),
        _ => name.to_owned(),
    };
    key.kind.fields().iter().fold(row, |rows, field| rows + &field_row(&parent, field, scope))
}

fn field_row(parent: &str, field: &Field, scope: &str) -> String {
    let default =
        field.default.map_or_else(|| "required".to_owned(), |default| format!("`{default}`"));
    format!(
        "| `{parent}.{}` | {} | {default} | | {scope} | {} |\n",
        field.name,
        field.kind.described(),
        with_former(field.doc, field.formerly)
    )
}

fn set_by(scope: KeyScope) -> &'static str {
    match scope {
        KeyScope::Machine => "machine",
        KeyScope::Run => "run",
    }
}

fn with_former(doc: &str, formerly: Option<&str>) -> String {
    match formerly {
        Some(former) => format!("{doc} Formerly `{former}`."),
        None => doc.to_owned(),
    }
}

fn values(key: &ConfigKey) -> String {
    let kind = key.kind.described();
    match key.absent {
        Some(absent) => format!("{kind}, or \"{absent}\""),
        None => kind,
    }
}

fn default(key: &ConfigKey) -> String {
    match key.fallback {
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Preset => "from the preset".to_owned(),
        Fallback::Derived { doc, .. } => doc.to_owned(),
    }
}

/// The terminal shows backticks as they are, so they are left out there.
fn plain(markdown: &str) -> String {
    markdown.replace('`', "")
}
