//! The reference of all keys, written from the table that reads them.

use std::fmt::Write;

use super::presets::preset_table;
use super::schema::{ConfigKey, Fallback, GROUPS, KEYS};
use super::value_type::{Field, ValueType};

const HEAD: &str = "\
# Configuration

<!-- Generated from the table of keys; `COVEY_UPDATE_DOCS=1 cargo test -p covey --test config` writes it anew. -->

A run is told what to do by layers, the later winning over the earlier, key by key:

1. the defaults below,
2. a preset (`--preset tiny`, `model.preset`),
3. a TOML file (`covey train run.toml`),
4. variables: `COVEY_TRAIN__STEPS=100` sets `train.steps`,
5. the command line: flags such as `--steps 100`, then `--set train.steps=100`.

Lists and records are replaced as a whole. Paths are relative to the folder that `covey` is started in. A key that can do
without a value says so with a word, such as `clip_norm = \"none\"`. `covey config show` prints every value with the place
that it came from.

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

/// `docs/config.md`, whole.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (group, about) in GROUPS {
        page += &format!("\n## `[{group}]`\n\n{about}\n\n");
        page += "| key | value | default | unit | meaning |\n|---|---|---|---|---|\n";
        for key in members(group) {
            page += &key_row(key);
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
    KEYS.iter().filter(move |key| key.parts().0 == group)
}

fn key_row(key: &ConfigKey) -> String {
    let name = key.parts().1;
    let row =
        format!("| `{name}` | {} | {} | {} | {} |\n", values(key), default(key), key.unit, key.doc);
    match key.kind {
        ValueType::List(fields) => row + &field_rows(&format!("{name}[]"), fields),
        ValueType::Record(fields) => row + &field_rows(name, fields),
        _ => row,
    }
}

fn field_rows(parent: &str, fields: &[Field]) -> String {
    let row = |field: &Field| {
        let default =
            field.default.map_or_else(|| "required".to_owned(), |default| format!("`{default}`"));
        format!(
            "| `{parent}.{}` | {} | {default} | | {} |\n",
            field.name,
            field.kind.described(),
            field.doc
        )
    };
    fields.iter().map(row).collect()
}

fn values(key: &ConfigKey) -> String {
    let kind = key.kind.described();
    key.absent.map_or_else(|| kind.clone(), |absent| format!("{kind}, or \"{absent}\""))
}

fn default(key: &ConfigKey) -> String {
    match key.fallback {
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Preset => "from the preset".to_owned(),
        Fallback::Derived { doc, .. } => doc.to_owned(),
    }
}

fn plain(markdown: &str) -> String {
    markdown.replace('`', "")
}
