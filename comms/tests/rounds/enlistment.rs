//! Round 0, in which peers ask for their first slots.

use covey_comms::bucket::Bucket;
use covey_comms::history::LightClient;
use covey_comms::objects::envelope::{Kind, Subject};
use covey_comms::objects::{Exclusion, Key, Lineage};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Round, RunId, within};
use covey_comms::run::CommsError;
use futures_util::future::join;

use crate::cluster::{
    Cluster, OUTER, RULES, SECOND, TestEvaluator, close, creator_key, excluded, identity, peer,
};

#[test]
fn round_zero_ends_once_enough_peers_sent_join_requests() {
    let cluster = Cluster::new(RULES);
    let mut validator = cluster.validator();
    let join_requests = async {
        cluster.sleep(SECOND * 10_000).await;
        cluster.client(1).join_request().await.unwrap();
        cluster.sleep(SECOND * 10_000).await;
        cluster.client(2).join_request().await.unwrap();
        cluster.client(2).join_request().await.unwrap();
    };
    let (closed, ()) = cluster.play(join(close(&mut validator), join_requests));
    assert!(closed.manifest.is_void() && closed.deltas.is_empty());
    assert_eq!(excluded(&closed.manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
    assert_eq!(validator.light_client().next(), Round(1));
    assert_eq!(validator.light_client().outer_steps(), 0);
}

#[test]
fn all_readers_compute_the_same_slots_in_ascending_order() {
    let (cluster, validator) = Cluster::with_peers(RULES, &[1, 2, 3, 4]);
    let mut peers = [1, 2, 3, 4].map(peer);
    peers.sort();
    let resumed = LightClient::resume(cluster.run.clone(), cluster.light_client().position());
    for reader in [&cluster.light_client(), validator.light_client(), &resumed] {
        let slots = peers.map(|peer| reader.slot(peer).unwrap());
        assert_eq!(
            slots.map(|slot| (slot.index, slot.num_slots)),
            [(0, 4), (1, 4), (2, 4), (3, 4)]
        );
        assert_eq!(reader.slot(peer(5)), None);
        assert_eq!(reader.slot(creator_key().peer()), None);
    }
    assert_eq!(LightClient::genesis(cluster.run.clone()).slot(peer(1)), None);
}

#[test]
fn a_join_request_is_valid_for_its_run_and_peer_only() {
    let cluster = Cluster::new(RULES);
    let other = RunId::of(b"another run");
    let subject = |run| Subject {
        run,
        round: Round(0),
        kind: Kind::JoinRequest,
        base: Lineage::genesis(run),
    };
    let seal = |number: u8, run| {
        covey_comms::objects::envelope::Envelope::seal(
            &identity(number),
            subject(run),
            bytes::Bytes::new(),
        )
    };
    let forged = [
        (Key::JoinRequest(peer(3)), seal(3, other).to_bytes()),
        (Key::JoinRequest(peer(4)), seal(5, cluster.run.id()).to_bytes()),
        (Key::JoinRequest(peer(6)), bytes::Bytes::from_static(b"not an envelope")),
        (Key::JoinRequest(peer(7)), bytes::Bytes::from(vec![0; 100_000])),
    ];
    for (key, object) in forged {
        assert!(cluster.play(cluster.bucket.put_new(&key, object)).unwrap().is_stored());
    }
    [1, 2]
        .into_iter()
        .for_each(|number| cluster.play(cluster.client(number).join_request()).unwrap());
    let manifest = cluster.close(&mut cluster.validator()).manifest;
    assert_eq!(excluded(&manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
    let error = cluster.play(cluster.client(6).join_request()).unwrap_err();
    assert!(matches!(error, CommsError::Taken { .. }), "{error}");
}

#[test]
fn only_validators_close_rounds() {
    let cluster = Cluster::new(RULES);
    let error = cluster.play(Validator::open(cluster.light_client(), identity(1))).unwrap_err();
    assert!(matches!(error, CommsError::NotValidator { got } if got == peer(1)));
    assert!(error.hint().is_some());
}

#[test]
fn a_round_without_heartbeats_stays_open_until_an_interrupt() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    assert!(
        cluster.play(within(&cluster.clock, SECOND * 100_000, close(&mut validator))).is_none()
    );
    let interrupt = std::sync::atomic::AtomicBool::new(true);
    let outcome = cluster.play(validator.close_round(
        OUTER,
        SECOND,
        &mut TestEvaluator::default(),
        &interrupt,
    ));
    assert_eq!(outcome.unwrap(), None);
}
