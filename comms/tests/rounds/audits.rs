//! Verification of past verdicts: each altered field is detected and reported by its path.

use covey_comms::agreement::Certificate;
use covey_comms::agreement::draw::RoundSecret;
use covey_comms::bucket::Bucket;
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{Gauntlet, Participation};
use covey_comms::objects::envelope::{Envelope, Kind, Subject};
use covey_comms::objects::{DeltaRef, Exclusion, Key, Manifest, ManifestBasis};
use covey_comms::participants::validator::{VerdictVerifier, VerifiedRound};
use covey_comms::primitives::{Digest, Round};

use crate::cluster::{Cluster, OUTER, RULES, TestEvaluator, creator_key, peer};

/// A run of three rounds with four peers, and all its manifests and verdicts.
fn history() -> (Cluster, Vec<(Manifest, Verdict)>) {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3, 4]);
    for _ in 0..3 {
        cluster.round(&mut validator, &[1, 2, 3, 4]);
    }
    let mut light_client = covey_comms::history::LightClient::genesis(cluster.run.clone());
    let mut rounds = Vec::new();
    while let Some(manifest) = cluster.play(light_client.poll()).unwrap() {
        let verdict = cluster.play(cluster.run.verdict_of(&manifest)).unwrap();
        rounds.push((manifest, verdict));
    }
    (cluster, rounds)
}

/// Verifies `verdict` as the verdict of its round.
fn verify(cluster: &Cluster, rounds: &[(Manifest, Verdict)], verdict: &Verdict) -> VerifiedRound {
    let at = verdict.inputs.round.0 as usize;
    let description = cluster.run.description();
    let gauntlet = Gauntlet::new(description.gauntlet.clone(), description.rules.max_included);
    let before = at.checked_sub(1).map(|before| &rounds[before]);
    let peer_table =
        before.map(|(_, verdict)| verdict.outcome.peer_table.clone()).unwrap_or_default();
    let verifier = VerdictVerifier {
        run: &cluster.run,
        gauntlet: &gauntlet,
        last: before.map(|(manifest, _)| manifest),
        before: &peer_table,
        previous: before.map(|(manifest, _)| manifest.basis().verdict),
        outer: Some(OUTER),
    };
    let manifest = &rounds[at].0;
    cluster
        .play(verifier.of_manifest(manifest, verdict, Some(&mut TestEvaluator::default())))
        .unwrap()
}

/// The path of the first difference after `forge` has changed the verdict of round 2.
fn first_difference(forge: impl FnOnce(&Cluster, &mut Verdict)) -> String {
    let (cluster, rounds) = history();
    let mut verdict = rounds[2].1.clone();
    forge(&cluster, &mut verdict);
    let verified = verify(&cluster, &rounds, &verdict);
    verified.difference.expect("every change is detected").path
}

#[test]
fn every_round_of_an_honest_run_passes() {
    let (cluster, rounds) = history();
    assert_eq!(rounds.len(), 4);
    for (_, verdict) in &rounds {
        let verified = verify(&cluster, &rounds, verdict);
        assert_eq!(
            verified,
            VerifiedRound { difference: None, is_complete: true },
            "{}",
            verdict.inputs.round
        );
    }
}

#[test]
fn without_deltas_the_other_fields_are_still_verified() {
    let (cluster, rounds) = history();
    let key = Key::Delta(Round(2), peer(1));
    cluster.play(cluster.bucket.delete(&key)).unwrap();
    let verified = verify(&cluster, &rounds, &rounds[2].1);
    assert_eq!(verified, VerifiedRound { difference: None, is_complete: false });
    let mut forged = rounds[2].1.clone();
    forged.inputs.joining.insert(peer(9));
    assert!(verify(&cluster, &rounds, &forged).difference.is_some());
}

#[test]
fn an_altered_loss_is_detected() {
    let path = first_difference(|_, verdict| {
        let measurement = verdict.inputs.measurements.get_mut(&peer(1)).unwrap();
        measurement.random.after += 0.2;
        measurement.own.after += 0.2;
    });
    assert!(path.starts_with("outcome."), "{path}");
    // If the outcome fits the altered loss, only a new measurement detects it.
    let path = first_difference(|cluster, verdict| {
        verdict.inputs.measurements.get_mut(&peer(1)).unwrap().random.after -= 0.01;
        let gauntlet =
            Gauntlet::new(cluster.run.description().gauntlet.clone(), RULES.max_included);
        let (_, rounds) = history();
        verdict.outcome = gauntlet.judge(&rounds[1].1.outcome.peer_table, &verdict.inputs);
    });
    assert!(path.starts_with(&format!("inputs.measurements.{}", peer(1))), "{path}");
}

#[test]
fn an_omitted_peer_is_detected() {
    let path = first_difference(|_, verdict| {
        verdict.inputs.active.remove(&peer(2)).unwrap();
    });
    assert_eq!(path, format!("inputs.seated.{}", peer(2)));
    let path = first_difference(|_, verdict| {
        verdict.inputs.active.get_mut(&peer(2)).unwrap().presence =
            Participation::Silent(Exclusion::Missing);
    });
    assert_eq!(path, format!("inputs.seated.{}", peer(2)));
}

#[test]
fn swapped_peers_are_detected() {
    let path = first_difference(|_, verdict| {
        let included = &mut verdict.outcome.included;
        let (one, other) = (included[&peer(1)], included[&peer(2)]);
        included.insert(peer(1), other);
        included.insert(peer(2), one);
    });
    assert!(path.starts_with("outcome.included."), "{path}");
    let path = first_difference(|_, verdict| {
        let [mut one, mut other] = [1, 2].map(|number| verdict.inputs.active[&peer(number)]);
        std::mem::swap(&mut one.slot, &mut other.slot);
        verdict.inputs.active.extend([(peer(1), one), (peer(2), other)]);
    });
    assert!(path.starts_with("inputs.seated."), "{path}");
}

#[test]
fn a_foreign_delta_is_detected() {
    let path = first_difference(|_, verdict| {
        let foreign = Participation::Delivered(DeltaRef::of(b"foreign"));
        verdict.inputs.active.get_mut(&peer(3)).unwrap().presence = foreign;
    });
    assert_eq!(path, format!("inputs.seated.{}", peer(3)));
}

#[test]
fn a_wrong_secret_is_detected() {
    let path = first_difference(|cluster, verdict| {
        let base = verdict.inputs.base;
        verdict.inputs.secret =
            Some(RoundSecret::of(&creator_key(), cluster.run.id(), Round(7), base));
    });
    assert_eq!(path, "inputs.secret");
    assert_eq!(first_difference(|_, verdict| verdict.inputs.secret = None), "inputs.secret");
}

#[test]
fn altered_lists_settings_digests_and_weights_are_detected() {
    assert_eq!(
        first_difference(|_, verdict| verdict.previous = Some(Digest::of(b"other"))),
        "previous"
    );
    assert_eq!(first_difference(|_, verdict| verdict.weights = Digest::of(b"other")), "weights");
    assert_eq!(first_difference(|_, verdict| verdict.inputs.outer.alpha = 0.5), "inputs.outer");
    assert_eq!(
        first_difference(|_, verdict| verdict.inputs.commitment_lists.clear()),
        "inputs.rolls"
    );
    let path = first_difference(|_, verdict| {
        verdict
            .inputs
            .commitment_lists
            .values_mut()
            .for_each(|digest| *digest = Digest::of(b"other"));
    });
    assert_eq!(path, format!("inputs.rolls.{}", creator_key().peer()));
}

#[test]
fn a_verdict_with_another_digest_than_in_the_manifest_is_refused() {
    let (cluster, rounds) = history();
    let (manifest, verdict) = &rounds[3];
    let other = Verdict { weights: Digest::of(b"other"), ..verdict.clone() };
    let subject = Subject {
        run: cluster.run.id(),
        round: manifest.round(),
        kind: Kind::Verdict,
        base: manifest.previous(),
    };
    let key = Key::Verdict(manifest.round(), creator_key().peer());
    cluster.play(cluster.bucket.delete(&key)).unwrap();
    let object = Envelope::seal(&creator_key(), subject, other.to_bytes().into()).to_bytes();
    assert!(cluster.play(cluster.bucket.put_new(&key, object)).unwrap().is_stored());
    assert!(cluster.play(cluster.run.verdict_of(manifest)).is_err());
    // The signatures do not fit a manifest that names the other verdict.
    let basis = ManifestBasis { weights: Digest::of(b"other"), ..*manifest.basis() };
    let included = manifest.included().clone();
    let forged = Manifest::new(
        manifest.round(),
        manifest.previous(),
        basis,
        OUTER,
        included,
        manifest.excluded().clone(),
    );
    let signatures =
        cluster.play(cluster.run.certificate(manifest.round(), None)).unwrap().signatures().clone();
    let forged = Certificate::new(forged.unwrap(), signatures).to_bytes();
    let opened = Certificate::open(
        &forged,
        cluster.run.id(),
        &cluster.run.description().validator_set,
        manifest.round(),
        None,
    );
    assert!(opened.is_err());
}
