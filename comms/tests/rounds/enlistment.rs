//! Round 0.

use covey_comms::bucket::Bucket;
use covey_comms::history::LightClient;
use covey_comms::objects::envelope::{Kind, Subject};
use covey_comms::objects::{Exclusion, Key, Lineage};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Round, RunId, within};
use covey_comms::run::CommsError;
use futures_util::future::join;

use crate::village::{OUTER, RULES, SECOND, Scales, Village, close, excluded, identity, mayor, peer};

#[test]
fn round_zero_ends_once_enough_peers_said_hello() {
    let village = Village::new(RULES);
    let mut validator = village.validator();
    let hellos = async {
        village.sleep(SECOND * 10_000).await;
        village.member(1).hello().await.unwrap();
        village.sleep(SECOND * 10_000).await;
        village.member(2).hello().await.unwrap();
        village.member(2).hello().await.unwrap();
    };
    let (closed, ()) = village.play(join(close(&mut validator), hellos));
    assert!(closed.manifest.is_void() && closed.deltas.is_empty());
    assert_eq!(excluded(&closed.manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
    assert_eq!(validator.follower().next(), Round(1));
    assert_eq!(validator.follower().outer_steps(), 0);
}

#[test]
fn all_readers_see_the_same_seats_in_ascending_order() {
    let (village, validator) = Village::inhabited(RULES, &[1, 2, 3, 4]);
    let mut peers = [1, 2, 3, 4].map(peer);
    peers.sort();
    let resumed = LightClient::resume(village.run.clone(), village.follower().position());
    for reader in [&village.follower(), validator.follower(), &resumed] {
        let seats = peers.map(|peer| reader.seat(peer).unwrap());
        assert_eq!(seats.map(|seat| (seat.index, seat.of)), [(0, 4), (1, 4), (2, 4), (3, 4)]);
        assert_eq!(reader.seat(peer(5)), None);
        assert_eq!(reader.seat(mayor().peer()), None);
    }
    assert_eq!(LightClient::genesis(village.run.clone()).seat(peer(1)), None);
}

#[test]
fn a_hello_counts_for_its_own_run_and_peer_only() {
    let village = Village::new(RULES);
    let other = RunId::of(b"another run");
    let subject = |run| Subject { run, round: Round(0), kind: Kind::Hello, base: Lineage::genesis(run) };
    let seal = |number: u8, run| {
        covey_comms::objects::envelope::Envelope::seal(&identity(number), subject(run), bytes::Bytes::new())
    };
    let forged = [
        (Key::Hello(peer(3)), seal(3, other).to_bytes()),
        (Key::Hello(peer(4)), seal(5, village.run.id()).to_bytes()),
        (Key::Hello(peer(6)), bytes::Bytes::from_static(b"hello")),
        (Key::Hello(peer(7)), bytes::Bytes::from(vec![0; 100_000])),
    ];
    for (key, object) in forged {
        assert!(village.play(village.bucket.put_new(&key, object)).unwrap().is_stored());
    }
    [1, 2].into_iter().for_each(|number| village.play(village.member(number).hello()).unwrap());
    let manifest = village.close(&mut village.validator()).manifest;
    assert_eq!(excluded(&manifest), [(1, Exclusion::Newcomer), (2, Exclusion::Newcomer)]);
    let error = village.play(village.member(6).hello()).unwrap_err();
    assert!(matches!(error, CommsError::Taken { .. }), "{error}");
}

#[test]
fn only_validators_close_rounds() {
    let village = Village::new(RULES);
    let error = village.play(Validator::open(village.follower(), identity(1))).unwrap_err();
    assert!(matches!(error, CommsError::NotValidator { got } if got == peer(1)));
    assert!(error.hint().is_some());
}

#[test]
fn nothing_happens_while_nobody_is_there_and_an_interrupt_ends_the_wait() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    assert!(village.play(within(&village.clock, SECOND * 100_000, close(&mut validator))).is_none());
    let interrupt = std::sync::atomic::AtomicBool::new(true);
    let outcome = village.play(validator.close_round(OUTER, SECOND, &mut Scales::default(), &interrupt));
    assert_eq!(outcome.unwrap(), None);
}
