//! Deltas with a norm far from the median.

use std::collections::{BTreeMap, BTreeSet};

use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::config::GauntletConfig;
use crate::primitives::PeerId;

/// Fewest norms that have a meaningful median: of two, neither is known to be the wrong one.
const MIN_NORMS: usize = 3;

/// Returns the peers with a norm that is not a positive number, or is more than `norm_ratio` times
/// above or below the median.
///
/// Clipping makes a long delta harmless, but it would count as much as an honest one. The median is
/// that of the established peers if there are at least three, otherwise that of all.
pub(crate) fn outsized(
    config: &GauntletConfig,
    peer_table: &PeerTable,
    norms: &BTreeMap<PeerId, f64>,
) -> BTreeSet<PeerId> {
    let established = norms.iter().filter(|(peer, _)| peer_table.is_established(config, **peer));
    let known = sorted_norms(established.map(|(_, norm)| *norm));
    // Established peers first: a crowd of new keys could move the median of all.
    let reference =
        if known.len() >= MIN_NORMS { known } else { sorted_norms(norms.values().copied()) };
    let median =
        reference.get(reference.len() / 2).copied().filter(|_| reference.len() >= MIN_NORMS);
    norms
        .iter()
        .filter(|(_, norm)| !is_norm(**norm) || !is_within(**norm, median, config.norm_ratio))
        .map(|(peer, _)| *peer)
        .collect()
}

fn is_norm(norm: f64) -> bool {
    norm.is_finite() && norm > 0.0
}

fn is_within(norm: f64, median: Option<f64>, ratio: f64) -> bool {
    median.is_none_or(|median| norm <= median * ratio && norm >= median / ratio)
}

fn sorted_norms(norms: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut norms: Vec<f64> = norms.filter(|norm| is_norm(*norm)).collect();
    norms.sort_by(f64::total_cmp);
    norms
}
