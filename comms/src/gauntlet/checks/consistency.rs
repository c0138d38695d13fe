//! Whether the inputs of a verdict fit each other: nobody left out, nobody twice, nothing from nowhere.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::similarity::SimilarPair;
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::judge::Gauntlet;
use crate::gauntlet::observations::{Observations, Participation};
use crate::gauntlet::scoring::Age;
use crate::gauntlet::shortlist::Shortlist;
use crate::gauntlet::verdict::Difference;
use crate::primitives::{PeerId, Round};

impl Gauntlet {
    /// Finds the first input that cannot be.
    pub(crate) fn check_inputs(
        &self,
        before: &PeerTable,
        inputs: &Observations,
    ) -> Result<(), Difference> {
        inputs.check_chance()?;
        inputs.check_peers()?;
        let shortlist = self.shortlist_of(before, inputs);
        inputs.check_evidence(&shortlist)?;
        let admitted: BTreeSet<PeerId> = shortlist
            .peers()
            .into_iter()
            .filter(|peer| !inputs.refused.contains_key(peer))
            .collect();
        let mut last = None;
        for (at, overlap) in inputs.overlaps.iter().enumerate() {
            let is_next = last < Some(overlap.place());
            if !is_next
                || !is_possible(overlap, &admitted, &inputs.earlier)
                || overlap.share() < self.config.overlap.high
            {
                let expected = "an overlap of two deltas that were admitted, after the one before";
                return Err(strange(&format!("overlaps.{at}"), expected, overlap));
            }
            last = Some(overlap.place());
        }
        Ok(())
    }
}

impl Observations {
    /// Round 0 enlists and knows no chance; all others have a secret.
    fn check_chance(&self) -> Result<(), Difference> {
        if !self.outer.are_valid() {
            return Err(strange(
                "outer.alpha",
                "a finite number that is not negative",
                &self.outer.alpha,
            ));
        }
        match (self.round == Round::FIRST, self.secret.is_some()) {
            (true, true) => Err(strange("secret", "none in round 0", &"a secret")),
            (false, false) => Err(strange("secret", "a secret", &self.secret)),
            (true, false) if !self.commitment_lists.is_empty() => {
                Err(strange("rolls", "none in round 0", &self.commitment_lists))
            }
            (true, false) if !self.active.is_empty() => {
                Err(strange("seated", "nobody in round 0", &self.active.keys()))
            }
            _ => Ok(()),
        }
    }

    /// Nobody is two things at once, and silence has a name.
    fn check_peers(&self) -> Result<(), Difference> {
        if let Some(peer) = self.joining.iter().find(|peer| self.active.contains_key(peer)) {
            return Err(strange("newcomers", "nobody who has a seat", peer));
        }
        let is_known =
            |peer: &&PeerId| self.active.contains_key(peer) || self.joining.contains(peer);
        if let Some(peer) = self.unknown.iter().find(is_known) {
            return Err(strange("strangers", "nobody who has a seat or asks for one", peer));
        }
        for (peer, active) in &self.active {
            if let Participation::Silent(reason) = active.presence
                && !reason.is_silence()
            {
                return Err(strange(
                    &format!("seated.{peer}.presence.silent"),
                    "a silence",
                    &reason,
                ));
            }
        }
        Ok(())
    }

    /// Everybody who is to be evaluated was measured or refused, and nobody else was.
    fn check_evidence(&self, shortlist: &Shortlist) -> Result<(), Difference> {
        let all = shortlist.peers();
        if let Some((peer, reason)) = self.refused.iter().find(|(peer, _)| !all.contains(peer)) {
            return Err(strange(&format!("refused.{peer}"), "nothing", reason));
        }
        for peer in shortlist.evaluated.iter().filter(|peer| !self.refused.contains_key(peer)) {
            match self.measurements.get(peer) {
                Some(measurement) if measurement.is_usable() => {}
                got => return Err(strange(&format!("measurements.{peer}"), "a measurement", &got)),
            }
        }
        let is_idle =
            |peer: &&PeerId| !shortlist.evaluated.contains(peer) || self.refused.contains_key(peer);
        match self.measurements.keys().find(is_idle) {
            Some(peer) => {
                Err(strange(&format!("measurements.{peer}"), "nothing", &"a measurement"))
            }
            None => Ok(()),
        }
    }
}

/// Whether two deltas can overlap so.
fn is_possible(
    overlap: &SimilarPair,
    admitted: &BTreeSet<PeerId>,
    earlier: &BTreeSet<PeerId>,
) -> bool {
    let SimilarPair { one, other, age, shared, total, first } = *overlap;
    let are_there = match age {
        Age::Current => {
            one < other
                && admitted.contains(&other)
                && first.is_none_or(|first| first == one || first == other)
        }
        Age::Previous => earlier.contains(&other) && first == Some(other),
    };
    are_there && admitted.contains(&one) && total > 0 && shared <= total
}

fn strange(path: &str, expected: &str, got: &dyn Debug) -> Difference {
    Difference::new(format!("inputs.{path}"), expected, format!("{got:?}"))
}
