//! Laws of manifests and of the chain that they form.

use std::collections::BTreeMap;

use bytes::Bytes;
use covey_comms::agreement::{BrokenChain, Certificate, Chain, ValidatorSet};
use covey_comms::objects::{
    Clipping, DeltaRef, Divisor, Exclusion, Lineage, Manifest, ManifestBasis, ManifestError,
    OuterSettings,
};
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};
use proptest::prelude::*;

const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::MedianNorm };

fn run() -> RunId {
    RunId::of(b"a run")
}

/// Three validators; two must agree.
fn validators() -> [Keypair; 3] {
    [1, 5, 6].map(|number| Keypair::from_secret(&[number; 32]))
}

fn validator_set() -> ValidatorSet {
    ValidatorSet::new(validators().iter().map(Keypair::peer).collect(), 2).unwrap()
}

fn basis() -> ManifestBasis {
    let proposer = Keypair::from_secret(&[1; 32]).peer();
    ManifestBasis { proposer, verdict: Digest::of(b"verdict"), weights: Digest::of(b"weights") }
}

/// The object that is stored, signed by these.
fn sealed(manifest: &Manifest, signers: &[Keypair]) -> Bytes {
    let sign = |signer: &Keypair| (signer.peer(), Certificate::sign(manifest, run(), signer));
    Certificate::new(manifest.clone(), signers.iter().map(sign).collect()).to_bytes()
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

fn delta_ref(content: u8) -> DeltaRef {
    DeltaRef { digest: Digest::of(&[content]), length: 1 }
}

fn manifest(round: u32, previous: Lineage) -> Manifest {
    let included = [2, 4].map(|number| (peer(number), delta_ref(number))).into();
    let excluded = [(peer(3), Exclusion::Late)].into();
    Manifest::new(Round(round), previous, basis(), OUTER, included, excluded).unwrap()
}

/// The stored manifests of the first rounds.
fn history(rounds: u32) -> Vec<Bytes> {
    let mut lineage = Lineage::genesis(run());
    let mut step = |round| {
        let manifest = manifest(round, lineage);
        lineage = manifest.lineage();
        sealed(&manifest, &validators()[..2])
    };
    (0..rounds).map(&mut step).collect()
}

fn chain() -> Chain {
    Chain::genesis(run(), validator_set())
}

fn documented(name: &str) -> String {
    include_str!("../../../docs/protocol.md")
        .split(&format!("<!-- vector: {name} -->"))
        .nth(1)
        .and_then(|rest| rest.split("```").nth(1))
        .unwrap()
        .split_whitespace()
        .collect()
}

#[test]
fn the_encoding_is_the_one_in_the_protocol() {
    let genesis = Lineage::genesis(run());
    let bytes = manifest(0, genesis).to_bytes();
    assert_eq!(genesis.to_string(), documented("genesis"));
    assert_eq!(
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        documented("manifest")
    );
}

#[test]
fn a_whole_history_verifies_from_genesis() {
    let mut chain = chain();
    chain.extend_all(&history(5)).unwrap();
    assert_eq!(chain.next(), Round(5));
    let mut joiner = Chain::resume(run(), validator_set(), chain.head(), chain.next());
    let next = sealed(&manifest(5, chain.head()), &validators());
    assert_eq!(joiner.extend(&next), chain.extend(&next));
    assert_eq!(joiner, chain);
}

#[test]
fn the_first_bad_round_is_named_and_the_chain_stops_before_it() {
    let mut objects = history(5);
    let elsewhere = manifest(2, Lineage::genesis(run()));
    objects[2] = sealed(&elsewhere, &validators());
    let mut chain = chain();
    let BrokenChain { round, source } = chain.extend_all(&objects).unwrap_err();
    assert_eq!((round, chain.next()), (Round(2), Round(2)));
    assert!(matches!(source, ManifestError::WrongPrevious { .. }), "{source}");
}

#[test]
fn a_skipped_round_and_an_unknown_signer_break_the_chain() {
    let objects = history(3);
    let error = chain().extend(&objects[1]).unwrap_err();
    assert!(matches!(error.source, ManifestError::WrongRound { .. }), "{error}");
    let [one, other, _] = validators();
    let first = manifest(0, Lineage::genesis(run()));
    let usurped = sealed(&first, &[one.clone(), Keypair::from_secret(&[2; 32])]);
    let error = chain().extend(&usurped).unwrap_err();
    assert!(matches!(error.source, ManifestError::UnknownPeer { .. }), "{error}");
    let error = chain().extend(&sealed(&first, std::slice::from_ref(&one))).unwrap_err();
    assert!(matches!(error.source, ManifestError::TooFew { expected: 2, got: 1, .. }), "{error}");
    let borrowed = [(one.peer(), &one), (other.peer(), &one)];
    let borrowed = borrowed.map(|(name, signer)| (name, Certificate::sign(&first, run(), signer)));
    let error = chain().extend(&Certificate::new(first, borrowed.into()).to_bytes()).unwrap_err();
    assert!(
        matches!(
            error.source,
            ManifestError::BadSignature { signer, .. } if signer == other.peer()
        ),
        "{error}"
    );
}

#[test]
fn a_void_round_still_moves_the_lineage() {
    let genesis = Lineage::genesis(run());
    let void = |round| {
        Manifest::new(Round(round), genesis, basis(), OUTER, BTreeMap::new(), BTreeMap::new())
            .unwrap()
    };
    assert!(void(0).is_void());
    assert_ne!(void(0).lineage(), genesis);
    assert_ne!(void(0).lineage(), void(1).lineage());
}

#[test]
fn the_lineage_depends_on_every_input_of_the_outer_step() {
    let genesis = Lineage::genesis(run());
    let lineage = |outer, included: &[(u8, u8)]| {
        let included =
            included.iter().map(|&(number, content)| (peer(number), delta_ref(content))).collect();
        Manifest::new(Round(0), genesis, basis(), outer, included, BTreeMap::new())
            .unwrap()
            .lineage()
    };
    let lineages = [
        lineage(OUTER, &[(2, 2), (4, 4)]),
        lineage(OUTER, &[(2, 4), (4, 2)]),
        lineage(OUTER, &[(2, 2)]),
        lineage(OUTER, &[(2, 2), (5, 4)]),
        lineage(OuterSettings { alpha: 0.5, ..OUTER }, &[(2, 2), (4, 4)]),
        lineage(OuterSettings { mean_over: Divisor::Peers, ..OUTER }, &[(2, 2), (4, 4)]),
        lineage(OuterSettings { clip: Clipping::Off, ..OUTER }, &[(2, 2), (4, 4)]),
    ];
    assert_eq!(std::collections::BTreeSet::from(lineages).len(), lineages.len());
}

#[test]
fn invalid_manifests_cannot_be_created() {
    let genesis = Lineage::genesis(run());
    let (included, excluded) =
        ([(peer(2), delta_ref(2))].into(), [(peer(2), Exclusion::Late)].into());
    let both = Manifest::new(Round(0), genesis, basis(), OUTER, included, excluded);
    assert!(matches!(both, Err(ManifestError::Malformed { .. })));
    for alpha in [f64::NAN, f64::INFINITY, -1.0, -0.0] {
        let outer = OuterSettings { alpha, ..OUTER };
        assert!(
            Manifest::new(Round(0), genesis, basis(), outer, BTreeMap::new(), BTreeMap::new())
                .is_err(),
            "{alpha}"
        );
    }
}

#[test]
fn counts_beyond_the_bytes_are_rejected() {
    let bytes = manifest(0, Lineage::genesis(run())).to_bytes();
    for counts in [[u32::MAX, 0], [u32::MAX, u32::MAX], [3, 1], [2, 0]] {
        let mut changed = bytes.clone();
        changed[148..152].copy_from_slice(&counts[0].to_le_bytes());
        changed[152..156].copy_from_slice(&counts[1].to_le_bytes());
        assert!(
            matches!(Manifest::parse(&changed), Err(ManifestError::Malformed { .. })),
            "{counts:?}"
        );
    }
}

#[test]
fn peers_in_another_order_are_rejected() {
    let bytes = manifest(0, Lineage::genesis(run())).to_bytes();
    let mut swapped = bytes.clone();
    swapped[156..228].copy_from_slice(&bytes[228..300]);
    swapped[228..300].copy_from_slice(&bytes[156..228]);
    let error = Manifest::parse(&swapped).unwrap_err();
    assert!(error.to_string().contains("ascending"), "{error}");
}

fn exclusions() -> impl Strategy<Value = Exclusion> {
    (1..=21_u8).prop_map(|code| Exclusion::from_code(code).unwrap())
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let included =
        prop::collection::btree_map(any::<[u8; 32]>(), (any::<[u8; 32]>(), any::<u64>()), 0..6);
    let excluded = prop::collection::btree_map(any::<[u8; 32]>(), exclusions(), 0..6);
    (any::<u32>(), any::<[u8; 32]>(), 0.0..100.0_f64, included, excluded).prop_map(
        |(round, previous, alpha, included, excluded)| {
            let included = included.into_iter().map(|(peer, (digest, length))| {
                (PeerId::from_bytes(peer), DeltaRef { digest: Digest::from_bytes(digest), length })
            });
            let excluded =
                excluded.into_iter().map(|(peer, reason)| (PeerId::from_bytes(peer), reason));
            let previous = Lineage::from_digest(Digest::from_bytes(previous));
            let outer = OuterSettings { alpha, ..OUTER };
            Manifest::new(
                Round(round),
                previous,
                basis(),
                outer,
                included.collect(),
                excluded.collect(),
            )
            .unwrap()
        },
    )
}

proptest! {
    #[test]
    fn encoding_and_decoding_are_inverse(manifest in manifests()) {
        let bytes = manifest.to_bytes();
        let decoded = Manifest::parse(&bytes).unwrap();
        prop_assert_eq!(decoded.to_bytes(), bytes);
        prop_assert_eq!(decoded, manifest);
    }

    #[test]
    fn any_flipped_bit_of_a_stored_manifest_is_rejected(
        manifest in manifests(),
        place: prop::sample::Index,
    ) {
        let mut object = sealed(&manifest, &validators()[..2]).to_vec();
        let bit = place.index(object.len() * 8);
        object[bit / 8] ^= 1 << (bit % 8);
        let (round, previous) = (manifest.round(), Some(manifest.previous()));
        let opened = Certificate::open(&object, run(), &validator_set(), round, previous);
        prop_assert!(opened.is_err());
    }

    #[test]
    fn a_decodable_encoding_is_the_only_one(
        manifest in manifests(),
        place: prop::sample::Index,
    ) {
        let mut bytes = manifest.to_bytes();
        let bit = place.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Manifest::parse(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        manifest in manifests(),
        keep: prop::sample::Index,
        tail in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = manifest.to_bytes();
        bytes.truncate(keep.index(bytes.len()));
        prop_assert!(Manifest::parse(&bytes).is_err());
        bytes.extend(tail);
        let _ = Manifest::parse(&bytes);
    }
}
