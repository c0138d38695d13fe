//! What somebody who misspelt a key probably meant.

use crate::config::schema::{GROUPS, KEYS};

/// The key nearest to `path`: the same name in another group, or a few letters away.
pub(crate) fn nearest_key(path: &str) -> Option<&'static str> {
    let name = last_part(path);
    let same_name = KEYS.iter().map(|key| key.path).find(|known| last_part(known) == name);
    same_name.or_else(|| nearest(path, KEYS.iter().map(|key| key.path)))
}

/// The group nearest to `name`.
pub(crate) fn nearest_group(name: &str) -> Option<&'static str> {
    nearest(name, GROUPS.iter().map(|(group, _)| *group))
}

/// The candidate that takes the fewest edits, if that is few for its length.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(word, candidate);
    // A third of the letters wrong is still recognisable, more is a guess.
    candidates.min_by_key(distance).filter(|best| distance(best) * 3 <= best.len())
}

fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
