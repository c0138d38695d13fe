//! Run descriptions and checkpoint descriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::objects::{
    CheckpointDescription, CheckpointFormatError, CheckpointPart, Key, Lineage,
};
use covey_comms::primitives::{Digest, Keypair, Round, RunId, VirtualClock};
use covey_comms::run::{CommsError, Description, DescriptionError, RoundParams, Run};

use crate::cluster::{Cluster, RULES, creator_key, description, identity, parts, peer};

#[test]
fn a_description_survives_its_encoding_and_determines_the_run_id() {
    let description = description(RULES);
    let bytes = description.to_bytes();
    assert_eq!(Description::parse(&bytes).unwrap(), description);
    assert_eq!(description.run_id(), RunId::of(&bytes));
    let other = Description { seed: 8, ..description.clone() };
    assert_ne!(other.run_id(), description.run_id());
}

#[test]
fn a_description_has_one_encoding() {
    let text = String::from_utf8(description(RULES).to_bytes()).unwrap();
    let encodings = [
        text.trim_end().to_string(),
        text.replace("  ", " "),
        text.replace("\"seed\": 7", "\"seed\": 7.0"),
        text.replace("\"seed\": 7", "\"seed\": 7,\n    \"more\": 1"),
        text.replace("cluster", "cl\\u0075ster"),
        text.replace(
            &creator_key().peer().to_string(),
            &creator_key().peer().to_string().to_uppercase(),
        ),
        format!("{text} "),
    ];
    for other in encodings {
        assert_ne!(other, text);
        assert!(Description::parse(other.as_bytes()).is_err(), "{other}");
    }
    for cut in 0..text.len() {
        assert!(Description::parse(&text.as_bytes()[..cut]).is_err());
    }
    let newer = text.replace("\"version\": 2", "\"version\": 3");
    assert!(matches!(
        Description::parse(newer.as_bytes()),
        Err(DescriptionError::UnknownVersion { got: 3, .. })
    ));
}

#[test]
fn impossible_values_are_reported_by_their_field() {
    let rules = [
        ("rules.max_delta", RoundParams { max_delta: 0, ..RULES }),
        ("rules.min_peers", RoundParams { min_peers: 0, ..RULES }),
        ("rules.min_peers", RoundParams { min_peers: 11, ..RULES }),
        ("rules.max_included", RoundParams { max_included: 0, ..RULES }),
        ("rules.max_included", RoundParams { max_included: 65_537, ..RULES }),
        ("rules.deadline", RoundParams { deadline: Duration::ZERO, ..RULES }),
        ("rules.deadline", RoundParams { deadline: Duration::from_micros(1500), ..RULES }),
        ("rules.reveal", RoundParams { reveal: Duration::ZERO, ..RULES }),
        ("rules.takeover", RoundParams { takeover: Duration::from_secs(31 * 24 * 3600), ..RULES }),
        ("rules.patience", RoundParams { patience: 0, ..RULES }),
        ("rules.patience", RoundParams { patience: 1001, ..RULES }),
        ("rules.checkpoint_every", RoundParams { checkpoint_every: 0, ..RULES }),
        ("rules.keep_checkpoints", RoundParams { keep_checkpoints: 0, ..RULES }),
    ];
    let mut cases: Vec<_> = rules.map(|(field, rules)| (field, description(rules))).into();
    for name in ["", "two\nlines", &"x".repeat(101)] {
        cases.push(("name", Description { name: name.into(), ..description(RULES) }));
    }
    let digest = Digest::of(b"a config");
    cases.push((
        "parts",
        Description { parts: [("../up".into(), digest)].into(), ..description(RULES) },
    ));
    for (expected, description) in cases {
        let error = description.check().unwrap_err();
        assert!(
            matches!(&error, DescriptionError::Invalid { field, .. } if field == expected),
            "{error}"
        );
    }
    let text = String::from_utf8(description(RULES).to_bytes()).unwrap();
    let error = Description::parse(text.replace("\"min_peers\": 2", "\"min_peers\": 0").as_bytes())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`rules.min_peers` of the run's description is 0, but it must be from 1 to `max_included`"
    );
    assert!(error.hint().is_some());
}

#[test]
fn creating_a_run_needs_exactly_the_described_parts() {
    let clock = VirtualClock::default();
    let create = |parts: BTreeMap<String, Bytes>| {
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let description = description(RULES);
        let created = Run::create(Arc::new(bucket), Arc::new(clock.clone()), &description, &parts);
        clock.run(created).unwrap().map(drop).unwrap_err()
    };
    assert!(matches!(create(BTreeMap::new()), CommsError::PartNotGiven { .. }));
    let wrong = Bytes::from_static(b"another config");
    assert!(matches!(
        create([("config".into(), wrong.clone())].into()),
        CommsError::WrongContent { .. }
    ));
    let more = parts().into_iter().chain([("more".into(), wrong)]).collect();
    assert!(matches!(create(more), CommsError::UnknownPart { .. }));
}

#[test]
fn a_bucket_contains_one_run() {
    let cluster = Cluster::new(RULES);
    let (bucket, clock) = (Arc::new(cluster.bucket.clone()), Arc::new(cluster.clock.clone()));
    let create = |description: &Description| {
        cluster
            .play(Run::create(bucket.clone(), clock.clone(), description, &parts()))
            .map(|run| run.id())
    };
    assert_eq!(
        create(&description(RULES)).unwrap(),
        cluster.run.id(),
        "a second creation changes nothing"
    );
    let other = Description { seed: 8, ..description(RULES) };
    let error = create(&other).unwrap_err();
    let CommsError::OtherRun { expected, got } = error else { panic!("{error}") };
    assert_eq!((expected, got), (other.run_id(), cluster.run.id()));
    let opened = cluster.play(Run::open(bucket, clock.clone(), Some(other.run_id()))).unwrap_err();
    assert!(matches!(opened, CommsError::OtherRun { .. }) && opened.hint().is_some());
    let empty = Arc::new(MemoryBucket::new(clock.clone()));
    assert!(matches!(cluster.play(Run::open(empty, clock, None)), Err(CommsError::NoRun)));
}

#[test]
fn parts_are_checked_against_their_digests_and_fetched_again() {
    let cluster = Cluster::new(RULES);
    for seed in 0..20 {
        let rates = FaultRates { truncated_bodies: 0.2, ..FaultRates::default() };
        let faulty =
            Faulty::new(cluster.bucket.clone(), Arc::new(cluster.clock.clone()), rates, seed);
        assert_eq!(cluster.play(cluster.through(faulty).part("config")).unwrap(), "a config");
    }
    assert!(matches!(
        cluster.play(cluster.run.part("tokenizer")),
        Err(CommsError::UnknownPart { .. })
    ));
    let key = Key::RunPart(Digest::of(b"a config"));
    cluster.play(cluster.bucket.delete(&key)).unwrap();
    assert!(
        cluster
            .play(cluster.bucket.put_new(&key, Bytes::from_static(b"forged")))
            .unwrap()
            .is_stored()
    );
    assert!(matches!(
        cluster.play(cluster.run.part("config")),
        Err(CommsError::WrongContent { .. })
    ));
}

fn publish(
    cluster: &Cluster,
    author: &Keypair,
    weights: &[u8],
) -> Result<CheckpointDescription, CommsError> {
    let lineage = Lineage::genesis(cluster.run.id());
    let parts = vec![
        ("model/0".to_string(), Bytes::copy_from_slice(weights)),
        ("model/1".into(), Bytes::new()),
    ];
    cluster.play(cluster.run.publish_checkpoint(
        author,
        Round(4),
        lineage,
        Digest::of(weights),
        3,
        parts,
    ))
}

#[test]
fn a_checkpoint_can_be_read_back() {
    let cluster = Cluster::new(RULES);
    let published = publish(&cluster, &creator_key(), b"weights").unwrap();
    assert_eq!(cluster.play(cluster.run.checkpoints()).unwrap(), [Round(4)]);
    let read = cluster.play(cluster.run.checkpoint(Round(4))).unwrap();
    assert_eq!(read, published);
    assert_eq!((read.weights, read.outer_steps), (Digest::of(b"weights"), 3));
    let part = |part| cluster.play(cluster.run.checkpoint_part(Round(4), part));
    assert_eq!(part(&read.parts[0]).unwrap(), "weights");
    assert_eq!(part(&read.parts[1]).unwrap(), "");
    let longer = CheckpointPart { length: 8, ..read.parts[0].clone() };
    assert!(matches!(part(&longer), Err(CommsError::WrongLength { expected: 8, got: 7, .. })));
}

#[test]
fn only_validators_publish_checkpoints_and_one_per_round() {
    let cluster = Cluster::new(RULES);
    let error = publish(&cluster, &identity(1), b"weights").unwrap_err();
    assert!(matches!(error, CommsError::NotValidator { got } if got == peer(1)));
    let first = publish(&cluster, &creator_key(), b"weights").unwrap();
    assert_eq!(publish(&cluster, &creator_key(), b"weights").unwrap(), first);
    let error = publish(&cluster, &creator_key(), b"other").unwrap_err();
    assert!(
        matches!(error, CommsError::Checkpoint(CheckpointFormatError::OtherWeights { .. })),
        "{error}"
    );
}

#[test]
fn a_checkpoint_description_has_one_encoding() {
    let part =
        |name: &str| CheckpointPart { name: name.into(), digest: Digest::of(b""), length: 0 };
    let lineage = Lineage::genesis(RunId::of(b"a run"));
    let of = |parts| CheckpointDescription {
        round: Round(1),
        lineage,
        weights: Digest::of(b""),
        outer_steps: 1,
        parts,
    };
    let parse = |payload: &[u8]| CheckpointDescription::parse(payload, Round(1), lineage);
    let good = of(vec![part("b"), part("a")]);
    let payload = good.to_payload();
    assert_eq!(parse(&payload).unwrap(), good);
    assert!(matches!(
        parse(&[&payload[..], b"\n"].concat()),
        Err(CheckpointFormatError::NotCanonical)
    ));
    assert!(matches!(parse(&payload[1..]), Err(CheckpointFormatError::NotReadable(_))));
    for parts in [vec![part("a"), part("a")], vec![part("/a")], vec![part("")]] {
        assert!(matches!(parse(&of(parts).to_payload()), Err(CheckpointFormatError::Part { .. })));
    }
}
