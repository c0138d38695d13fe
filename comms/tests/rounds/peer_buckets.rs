//! Peers that publish deltas in their own buckets.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::history::LightClient;
use covey_comms::objects::envelope::{Envelope, Kind, Subject};
use covey_comms::objects::{Exclusion, Key, Lineage, Prefix};
use covey_comms::participants::PeerClient;
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::primitives::Round;
use covey_comms::run::{CommsError, Run};

use crate::cluster::{
    Cluster, RULES, SECOND, commit_and_publish, delta, excluded, identity, included, peer,
};

const URL: &str = "s3://peer-3/deltas?endpoint=https://store.example";

/// A run with round 1 open. Peers 1 and 2 use its bucket, peer 3 has another delta location.
fn with_peer_bucket(
    own: impl Fn(&Cluster) -> Arc<dyn Bucket>,
) -> (Cluster, Validator, Arc<dyn Bucket>) {
    let mut cluster = Cluster::new(RULES);
    let own = own(&cluster);
    let opened = own.clone();
    cluster.run = cluster.run.with_opener(Arc::new(move |url| match url {
        URL => Ok(opened.clone()),
        _ => Err(BucketError::Missing { location: url.into() }),
    }));
    cluster.play(cluster.client(3).join_request_from(URL)).unwrap();
    [1, 2]
        .into_iter()
        .for_each(|number| cluster.play(cluster.client(number).join_request()).unwrap());
    let mut validator = cluster.validator();
    assert_eq!(cluster.close(&mut validator).manifest.excluded().len(), 3);
    (cluster, validator, own)
}

fn memory(cluster: &Cluster) -> Arc<dyn Bucket> {
    Arc::new(MemoryBucket::new(Arc::new(cluster.clock.clone())))
}

/// Delivers to the open round through another bucket.
fn deliver(cluster: &Cluster, number: u8, own: &Arc<dyn Bucket>) {
    let light_client = cluster.light_client();
    let client: PeerClient = cluster.client(number).with_bucket(own.clone());
    cluster.play(commit_and_publish(&client, &light_client, delta(number)));
}

fn keys(cluster: &Cluster, bucket: &dyn Bucket) -> Vec<Key> {
    cluster
        .play(bucket.list(&Prefix::Rounds, None))
        .unwrap()
        .iter()
        .map(|listed| listed.key)
        .collect()
}

#[test]
fn deltas_in_a_peer_bucket_are_included() {
    let (cluster, mut validator, own) = with_peer_bucket(memory);
    let start = cluster.now();
    for round in 1..4 {
        cluster.heartbeats(&[1, 2, 3]);
        cluster.deliver(&[1, 2]);
        deliver(&cluster, 3, &own);
        let Closed { manifest, deltas, .. } = cluster.close(&mut validator);
        assert_eq!(included(&manifest), [1, 2, 3]);
        assert_eq!(deltas, [1, 2, 3].map(|number| (peer(number), delta(number))).into());
        let genesis = LightClient::genesis(cluster.run.clone());
        assert_eq!(cluster.play(genesis.gather(&manifest)).unwrap(), deltas);
        let theirs = Key::Delta(Round(round), peer(3));
        assert!(
            keys(&cluster, own.as_ref()).contains(&theirs)
                && !keys(&cluster, &cluster.bucket).contains(&theirs)
        );
        // A validator without state closes the next round.
        validator = cluster.validator();
    }
    assert_eq!(cluster.now(), start, "no peer was waited for");
    assert!(keys(&cluster, own.as_ref()).iter().all(|key| key.owner() == Some(peer(3))));
}

#[test]
fn without_an_opener_the_delta_is_withheld_and_gathering_names_the_bucket() {
    let (mut cluster, mut validator, own) = with_peer_bucket(memory);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    deliver(&cluster, 3, &own);
    let manifest = cluster.close(&mut validator).manifest;
    cluster.run = cluster.through(cluster.bucket.clone());
    let error = cluster.play(cluster.light_client().gather(&manifest)).unwrap_err();
    assert!(error.hint().is_some());
    let CommsError::CannotOpenBucket { peer: owner, url } = error else { panic!("{error}") };
    assert_eq!((owner, url.as_ref()), (peer(3), URL));
    let mut validator = cluster.validator();
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    deliver(&cluster, 3, &own);
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Withheld)])
    );
}

/// A bucket that fails or hangs, except perhaps for its listing.
#[derive(Debug)]
struct BrokenBucket {
    listing: Option<Vec<Listed>>,
    hangs: bool,
}

impl BrokenBucket {
    async fn fail<T>(&self, what: String) -> Result<T, BucketError> {
        if self.hangs {
            return pending().await;
        }
        Err(BucketError::Denied { what, source: "no access".into() })
    }
}

#[async_trait]
impl Bucket for BrokenBucket {
    async fn get(&self, key: &Key, _: u64) -> Result<Bytes, BucketError> {
        self.fail(key.to_string()).await
    }

    async fn put_new(&self, key: &Key, _: Bytes) -> Result<Put, BucketError> {
        self.fail(key.to_string()).await
    }

    async fn list(&self, prefix: &Prefix, _: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        match &self.listing {
            Some(listing) => {
                Ok(listing.iter().copied().filter(|listed| prefix.contains(&listed.key)).collect())
            }
            None => self.fail(prefix.to_string()).await,
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.fail(key.to_string()).await
    }
}

#[test]
fn a_broken_peer_bucket_delays_no_other_peer() {
    for (lists, hangs) in [(false, false), (false, true), (true, false), (true, true)] {
        let (cluster, mut validator, _) = with_peer_bucket(|cluster| {
            let modified = cluster.now();
            let listed =
                |round| Listed { key: Key::Delta(Round(round), peer(3)), length: 300, modified };
            Arc::new(BrokenBucket { listing: lists.then(|| (1..9).map(listed).collect()), hangs })
        });
        let start = cluster.now();
        cluster.heartbeats(&[3]);
        let light_client = cluster.light_client();
        cluster
            .play(cluster.client(3).commit(light_client.next(), light_client.head(), &delta(3)))
            .unwrap();
        let manifest = cluster.round(&mut validator, &[1, 2]);
        assert_eq!(
            (included(&manifest), excluded(&manifest)),
            (vec![1, 2], vec![(3, Exclusion::Withheld)])
        );
        let elapsed = cluster.now().since(start);
        // A few timeouts in addition: at the deadline, in the last poll, and for the delta itself.
        assert!(elapsed <= RULES.reveal + SECOND * 40, "{lists} {hangs}: {elapsed:?}");
        let start = cluster.now();
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [], "{lists} {hangs}");
        assert!(cluster.now().since(start) <= SECOND * 10, "{lists} {hangs}");
        let start = cluster.now();
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2]);
        assert_eq!(cluster.now(), start, "{lists} {hangs}: no request for a peer without a slot");
    }
}

#[test]
fn a_peer_bucket_is_read_for_its_own_peer_only() {
    let (cluster, mut validator, own) = with_peer_bucket(memory);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1]);
    [2, 3, 4].into_iter().for_each(|number| deliver(&cluster, number, &own));
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 3], vec![(2, Exclusion::Withheld), (4, Exclusion::UnknownPeer)])
    );
}

#[test]
fn a_peer_with_a_bucket_cannot_deliver_to_the_shared_one() {
    let (cluster, mut validator, _) = with_peer_bucket(memory);
    let manifest = cluster.round(&mut validator, &[1, 2, 3]);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Withheld)])
    );
}

#[test]
fn a_join_request_with_an_invalid_location_gets_no_slot() {
    let cluster = Cluster::new(RULES);
    let run: &Run = &cluster.run;
    let too_long = format!("s3://bkt/{}", "a".repeat(512));
    let payloads = [
        Bytes::from_static(b"s3://bkt/\xff"),
        Bytes::from(too_long.clone()),
        Bytes::from_static(b"memory://"),
    ];
    for (number, payload) in (3..).zip(payloads) {
        let subject = Subject {
            run: run.id(),
            round: Round(0),
            kind: Kind::JoinRequest,
            base: Lineage::genesis(run.id()),
        };
        let object = Envelope::seal(&identity(number), subject, payload).to_bytes();
        assert!(
            cluster
                .play(cluster.bucket.put_new(&Key::JoinRequest(peer(number)), object))
                .unwrap()
                .is_stored()
        );
    }
    for url in [too_long.as_str(), "memory://", "", "http://host", "s3://us:hush@bkt/x"] {
        let error = cluster.play(cluster.client(6).join_request_from(url)).unwrap_err();
        assert!(error.hint().is_some() && !error.to_string().contains("hush"), "{error}");
    }
    [1, 2]
        .into_iter()
        .for_each(|number| cluster.play(cluster.client(number).join_request()).unwrap());
    let manifest = cluster.close(&mut cluster.validator()).manifest;
    assert_eq!(excluded(&manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
}

#[test]
fn a_delta_location_cannot_change_during_a_run() {
    let cluster = Cluster::new(RULES);
    let client = cluster.client(1);
    cluster.play(client.join_request_from(URL)).unwrap();
    cluster.play(client.join_request_from(URL)).unwrap();
    for outcome in [
        cluster.play(client.join_request()),
        cluster.play(client.join_request_from("s3://elsewhere")),
    ] {
        assert!(matches!(outcome, Err(CommsError::Taken { .. })), "{outcome:?}");
    }
}
