//! The closest valid name for a misspelt one.

use crate::config::schema::{GROUPS, KEYS};

/// The path closest to `path`: the same name in another group, or a few letters away.
///
/// Former names are compared as well; the result is a current path.
pub(crate) fn nearest_key(path: &str) -> Option<&'static str> {
    let name = last_part(path);
    // First: a key in the wrong group can be many letters away from its path.
    if let Some(key) = KEYS.iter().find(|key| last_part(key.path) == name) {
        return Some(key.path);
    }
    let former: Vec<_> =
        KEYS.iter().filter_map(|key| Some((key.former_path()?, key.path))).collect();
    let current = KEYS.iter().map(|key| (key.path, key.path));
    let spellings: Vec<_> =
        current.chain(former.iter().map(|(former, path)| (former.as_str(), *path))).collect();
    let meant = nearest(path, spellings.iter().map(|(spelling, _)| *spelling))?;
    spellings.iter().find(|(spelling, _)| *spelling == meant).map(|(_, path)| *path)
}

/// The group closest to `name`.
pub(crate) fn nearest_group(name: &str) -> Option<&'static str> {
    nearest(name, GROUPS.iter().map(|(group, _)| *group))
}

/// The candidate with the fewest edits; `None` if they are many for its length.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        // A word with a third of its letters wrong can be recognised; more is a guess.
        .filter(|(distance, best)| distance * 3 <= best.len())
        .map(|(_, best)| best)
}

fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
