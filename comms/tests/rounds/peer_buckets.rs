//! Peers that bring a bucket of their own.

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

use crate::cluster::{Cluster, RULES, SECOND, delta, excluded, identity, included, peer, say};

const URL: &str = "s3://peer-3/deltas?endpoint=https://store.example";

/// A run whose peers 1 and 2 share its bucket and whose peer 3 announced its own, with round 1 open.
fn settle(own: impl Fn(&Cluster) -> Arc<dyn Bucket>) -> (Cluster, Validator, Arc<dyn Bucket>) {
    let mut cluster = Cluster::new(RULES);
    let own = own(&cluster);
    let lent = own.clone();
    cluster.run = cluster.run.with_opener(Arc::new(move |url| match url {
        URL => Ok(lent.clone()),
        _ => Err(BucketError::Missing { location: url.into() }),
    }));
    cluster.play(cluster.member(3).join_request_from(URL)).unwrap();
    [1, 2]
        .into_iter()
        .for_each(|number| cluster.play(cluster.member(number).join_request()).unwrap());
    let mut validator = cluster.validator();
    assert_eq!(cluster.close(&mut validator).manifest.excluded().len(), 3);
    (cluster, validator, own)
}

fn memory(cluster: &Cluster) -> Arc<dyn Bucket> {
    Arc::new(MemoryBucket::new(Arc::new(cluster.clock.clone())))
}

/// Delivers to the open round through a bucket of the peer's choice.
fn deliver(cluster: &Cluster, number: u8, own: &Arc<dyn Bucket>) {
    let light_client = cluster.light_client();
    let member: PeerClient = cluster.member(number).with_bucket(own.clone());
    cluster.play(say(&member, &light_client, delta(number)));
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
fn who_brings_a_bucket_is_one_of_all() {
    let (cluster, mut validator, own) = settle(memory);
    let start = cluster.now();
    for round in 1..4 {
        cluster.begin(&[1, 2, 3]);
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
        // The next round is closed by one that knows nothing but the bucket.
        validator = cluster.validator();
    }
    assert_eq!(cluster.now(), start, "nobody waited");
    assert!(keys(&cluster, own.as_ref()).iter().all(|key| key.owner() == Some(peer(3))));
}

#[test]
fn without_an_opener_such_a_peer_is_missing_and_gathering_says_why() {
    let (mut cluster, mut validator, own) = settle(memory);
    cluster.begin(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    deliver(&cluster, 3, &own);
    let manifest = cluster.close(&mut validator).manifest;
    cluster.run = cluster.through(cluster.bucket.clone());
    let error = cluster.play(cluster.light_client().gather(&manifest)).unwrap_err();
    assert!(
        matches!(&error, CommsError::CannotOpenBucket { peer: it, url } if *it == peer(3) && url == URL),
        "{error}"
    );
    assert!(error.hint().is_some());
    let mut validator = cluster.validator();
    cluster.begin(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    deliver(&cluster, 3, &own);
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Withheld)])
    );
}

/// A bucket that lists well or not, and does nothing else well.
#[derive(Debug)]
struct Dead {
    listing: Option<Vec<Listed>>,
    hangs: bool,
}

impl Dead {
    async fn die<T>(&self, what: String) -> Result<T, BucketError> {
        match self.hangs {
            true => pending().await,
            false => Err(BucketError::Denied { what, source: "not for you".into() }),
        }
    }
}

#[async_trait]
impl Bucket for Dead {
    async fn get(&self, key: &Key, _: u64) -> Result<Bytes, BucketError> {
        self.die(key.to_string()).await
    }

    async fn put_new(&self, key: &Key, _: Bytes) -> Result<Put, BucketError> {
        self.die(key.to_string()).await
    }

    async fn list(&self, prefix: &Prefix, _: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        match &self.listing {
            Some(listing) => {
                Ok(listing.iter().copied().filter(|listed| prefix.contains(&listed.key)).collect())
            }
            None => self.die(prefix.to_string()).await,
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.die(key.to_string()).await
    }
}

#[test]
fn a_dead_bucket_stalls_nobody() {
    for (lists, hangs) in [(false, false), (false, true), (true, false), (true, true)] {
        let (cluster, mut validator, _) = settle(|cluster| {
            let modified = cluster.now();
            let listed =
                |round| Listed { key: Key::Delta(Round(round), peer(3)), length: 300, modified };
            Arc::new(Dead { listing: lists.then(|| (1..9).map(listed).collect()), hangs })
        });
        let start = cluster.now();
        cluster.begin(&[3]);
        let light_client = cluster.light_client();
        cluster
            .play(cluster.member(3).commit(light_client.next(), light_client.head(), &delta(3)))
            .unwrap();
        let manifest = cluster.round(&mut validator, &[1, 2]);
        assert_eq!(
            (included(&manifest), excluded(&manifest)),
            (vec![1, 2], vec![(3, Exclusion::Withheld)])
        );
        let elapsed = cluster.now().since(start);
        // Visits may come on top: across the deadline, in the last look, and for the delta itself.
        assert!(elapsed <= RULES.reveal + SECOND * 40, "{lists} {hangs}: {elapsed:?}");
        let start = cluster.now();
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [], "{lists} {hangs}");
        assert!(cluster.now().since(start) <= SECOND * 10, "{lists} {hangs}");
        let start = cluster.now();
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2]);
        assert_eq!(cluster.now(), start, "{lists} {hangs}: who has no seat is not visited");
    }
}

#[test]
fn a_bucket_counts_for_its_own_peer_and_no_other() {
    let (cluster, mut validator, own) = settle(memory);
    cluster.begin(&[1, 2, 3]);
    cluster.deliver(&[1]);
    [2, 3, 4].into_iter().for_each(|number| deliver(&cluster, number, &own));
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 3], vec![(2, Exclusion::Withheld), (4, Exclusion::UnknownPeer)])
    );
}

#[test]
fn who_announced_a_bucket_delivers_nowhere_else() {
    let (cluster, mut validator, _) = settle(memory);
    let manifest = cluster.round(&mut validator, &[1, 2, 3]);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Withheld)])
    );
}

#[test]
fn a_hello_that_names_no_bucket_gets_no_seat() {
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
        let error = cluster.play(cluster.member(6).join_request_from(url)).unwrap_err();
        assert!(error.hint().is_some() && !error.to_string().contains("hush"), "{error}");
    }
    [1, 2]
        .into_iter()
        .for_each(|number| cluster.play(cluster.member(number).join_request()).unwrap());
    let manifest = cluster.close(&mut cluster.validator()).manifest;
    assert_eq!(excluded(&manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
}

#[test]
fn what_was_announced_is_announced_for_the_whole_run() {
    let cluster = Cluster::new(RULES);
    let member = cluster.member(1);
    cluster.play(member.join_request_from(URL)).unwrap();
    cluster.play(member.join_request_from(URL)).unwrap();
    for outcome in [
        cluster.play(member.join_request()),
        cluster.play(member.join_request_from("s3://elsewhere")),
    ] {
        assert!(matches!(outcome, Err(CommsError::Taken { .. })), "{outcome:?}");
    }
}
