//! The signed wrapping of everything that a peer writes: who says what, about which round of which run, and from where.
//!
//! 212 bytes of header stand before the payload, specified byte by byte in `docs/protocol.md`. The header is enough to
//! refuse an object before its payload is downloaded; the payload is then held to the digest that was signed. There is
//! one encoding of each envelope, so equal envelopes are equal bytes.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::error::EnvelopeError;
use crate::objects::lineage::Lineage;
use crate::primitives::{Digest, Domain, Fields, Keypair, PeerId, Round, RunId, Signature};

/// What every envelope begins with.
pub(crate) const MAGIC: [u8; 4] = *b"CVEY";

/// The version of the encoding that this build writes and the only one that it reads.
pub(crate) const VERSION: u16 = 1;

/// The part of the header that is signed.
const SIGNED_LENGTH: usize = 148;

/// What a payload is. The code of each kind on the wire never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Kind {
    /// What one peer learned in one round.
    Delta = 1,
    /// Who is in a round, by the coordinator.
    Manifest = 2,
    /// A sign of life.
    Heartbeat = 3,
    /// A peer that joins.
    JoinRequest = 4,
    /// A peer that leaves.
    LeaveNotice = 5,
    /// The description of a checkpoint.
    Checkpoint = 6,
    /// The digest of a delta that is still kept back.
    Commitment = 7,
    /// Who committed in time, by one validator.
    CommitmentList = 8,
    /// What one validator proposes for a round.
    Verdict = 9,
    /// What a validator says of another's verdict.
    Vote = 10,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Delta,
        Self::Manifest,
        Self::Heartbeat,
        Self::JoinRequest,
        Self::LeaveNotice,
        Self::Checkpoint,
        Self::Commitment,
        Self::CommitmentList,
        Self::Verdict,
        Self::Vote,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Delta => "delta",
            Self::Manifest => "manifest",
            Self::Heartbeat => "heartbeat",
            Self::JoinRequest => "hello",
            Self::LeaveNotice => "farewell",
            Self::Checkpoint => "checkpoint",
            Self::Commitment => "commitment",
            Self::CommitmentList => "roll",
            Self::Verdict => "verdict",
            Self::Vote => "vote",
        })
    }
}

/// Where a payload belongs: what its author decides before it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The run.
    pub run: RunId,
    /// The round within the run.
    pub round: Round,
    /// What the payload is.
    pub kind: Kind,
    /// The lineage of the weights that the payload starts from.
    pub base: Lineage,
}

/// Everything that an envelope says of its payload, and all that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the payload belongs.
    pub subject: Subject,
    /// Who wrote it.
    pub peer: PeerId,
    /// How many bytes follow the header.
    pub payload_length: u64,
    /// Their digest.
    pub payload_digest: Digest,
}

impl Header {
    /// Bytes of header and signature, which every envelope begins with.
    pub const LENGTH: usize = SIGNED_LENGTH + 64;

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.subject.kind.code().to_le_bytes());
        bytes.extend(self.subject.run.digest().as_bytes());
        bytes.extend(self.subject.round.0.to_le_bytes());
        bytes.extend(self.peer.as_bytes());
        bytes.extend(self.subject.base.digest().as_bytes());
        bytes.extend(self.payload_length.to_le_bytes());
        bytes.extend(self.payload_digest.as_bytes());
        bytes
    }

    fn parse(fields: &mut Fields<'_>) -> Result<Self, EnvelopeError> {
        let cut = EnvelopeError::HeaderCut { expected: Self::LENGTH, got: fields.left() };
        if fields.left() < Self::LENGTH {
            return Err(cut);
        }
        Self::parse_whole(fields)?.ok_or(cut)
    }

    /// Nothing, if fields run out.
    fn parse_whole(fields: &mut Fields<'_>) -> Result<Option<Self>, EnvelopeError> {
        if fields.take() != Some(MAGIC) {
            return Err(EnvelopeError::NotAnEnvelope);
        }
        match fields.u16() {
            Some(VERSION) => {}
            got => {
                return Err(EnvelopeError::UnknownVersion {
                    expected: VERSION,
                    got: got.unwrap_or_default(),
                });
            }
        }
        let code = fields.u16().unwrap_or_default();
        let kind = Kind::from_code(code).ok_or(EnvelopeError::UnknownKind { code })?;
        Ok(Self::parse_rest(kind, fields))
    }

    fn parse_rest(kind: Kind, fields: &mut Fields<'_>) -> Option<Self> {
        let run = RunId::from_digest(Digest::from_bytes(fields.take()?));
        let round = Round(fields.u32()?);
        let peer = PeerId::from_bytes(fields.take()?);
        let base = Lineage::from_digest(Digest::from_bytes(fields.take()?));
        let payload_length = fields.u64()?;
        let payload_digest = Digest::from_bytes(fields.take()?);
        Some(Self {
            subject: Subject { run, round, kind, base },
            peer,
            payload_length,
            payload_digest,
        })
    }
}

/// Who may have written an envelope.
#[derive(Clone, Copy, Debug)]
pub enum Author<'members> {
    /// Exactly this peer: the one that the object's key names.
    Is(PeerId),
    /// Any of these.
    Among(&'members BTreeSet<PeerId>),
}

/// What a reader holds an envelope to; everything that is given must match.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'members> {
    /// The run that the reader takes part in.
    pub run: RunId,
    /// The kind that stands under the object's key.
    pub kind: Kind,
    /// The round, where the reader knows it.
    pub round: Option<Round>,
    /// The lineage of the reader's weights, where it matters.
    pub base: Option<Lineage>,
    /// Who may have written it.
    pub author: Author<'members>,
    /// The longest payload that the run allows, in bytes.
    pub max_payload: u64,
}

impl Expectation<'_> {
    /// The largest object that can meet this expectation, in bytes.
    pub fn max_object(&self) -> u64 {
        self.max_payload.saturating_add(Header::LENGTH as u64)
    }

    /// Refuses a header with the first thing that is wrong with it, cheapest first.
    fn check(&self, header: &Header) -> Result<(), EnvelopeError> {
        let Header { subject, peer, payload_length, .. } = *header;
        if subject.run != self.run {
            return Err(EnvelopeError::WrongRun { peer, expected: self.run, got: subject.run });
        }
        if subject.kind != self.kind {
            return Err(EnvelopeError::WrongKind { peer, expected: self.kind, got: subject.kind });
        }
        if let Some(expected) = self.round.filter(|round| *round != subject.round) {
            return Err(EnvelopeError::WrongRound { peer, expected, got: subject.round });
        }
        self.check_author(peer)?;
        if let Some(expected) = self.base.filter(|base| *base != subject.base) {
            return Err(EnvelopeError::WrongBase {
                peer,
                round: subject.round,
                expected,
                got: subject.base,
            });
        }
        if payload_length > self.max_payload {
            return Err(EnvelopeError::TooLarge {
                peer,
                announced: payload_length,
                limit: self.max_payload,
            });
        }
        Ok(())
    }

    fn check_author(&self, peer: PeerId) -> Result<(), EnvelopeError> {
        match self.author {
            Author::Is(expected) if expected != peer => {
                Err(EnvelopeError::WrongPeer { expected, got: peer })
            }
            Author::Among(members) if !members.contains(&peer) => {
                Err(EnvelopeError::UnknownPeer { peer })
            }
            _ => Ok(()),
        }
    }
}

/// A header whose signature holds and that meets an expectation; its payload has not been seen.
///
/// This is what the first [`Header::LENGTH`] bytes of an object are worth: enough to decide whether to fetch the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    header: Header,
    signature: Signature,
}

impl Announcement {
    /// Checks the first bytes of an object; what follows the header is not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong, cheapest check first, the signature last.
    pub fn open(bytes: &[u8], expectation: &Expectation<'_>) -> Result<Self, EnvelopeError> {
        let mut fields = Fields::of(bytes);
        let header = Header::parse(&mut fields)?;
        let cut = EnvelopeError::HeaderCut { expected: Header::LENGTH, got: bytes.len() };
        let signature = Signature::from_bytes(fields.take().ok_or(cut)?);
        expectation.check(&header)?;
        if !header.peer.verify(Domain::Envelope, &header.signed_bytes(), &signature) {
            return Err(EnvelopeError::BadSignature { peer: header.peer });
        }
        Ok(Self { header, signature })
    }

    /// What was announced.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Joins the announcement with the payload that came after it.
    fn with_payload(self, payload: Bytes) -> Result<Envelope, EnvelopeError> {
        let Header { peer, payload_length: expected, payload_digest, .. } = self.header;
        let got = payload.len() as u64;
        if got < expected {
            return Err(EnvelopeError::Truncated { peer, expected, got });
        }
        if got > expected {
            return Err(EnvelopeError::TrailingBytes { peer, expected, got });
        }
        match Digest::of(&payload) {
            digest if digest == payload_digest => Ok(Envelope { announcement: self, payload }),
            got => Err(EnvelopeError::Damaged { peer, expected: payload_digest, got }),
        }
    }
}

/// A payload together with the proof of who wrote it and where it belongs.
///
/// - The payload has the length and the digest that the header names.
/// - The signature of the header's peer covers every field of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    announcement: Announcement,
    payload: Bytes,
}

impl Envelope {
    /// Signs a payload in the name of `author`.
    pub fn seal(author: &Keypair, subject: Subject, payload: Bytes) -> Self {
        let header = Header {
            subject,
            peer: author.peer(),
            payload_length: payload.len() as u64,
            payload_digest: Digest::of(&payload),
        };
        let signature = author.sign(Domain::Envelope, &header.signed_bytes());
        Self { announcement: Announcement { header, signature }, payload }
    }

    /// Reads a whole object and holds it to what is expected; the payload shares the memory of `object`.
    ///
    /// # Errors
    /// The first thing that is wrong, cheapest check first: header, signature, payload.
    pub fn open(object: &Bytes, expectation: &Expectation<'_>) -> Result<Self, EnvelopeError> {
        Announcement::open(object, expectation)?.with_payload(object.slice(Header::LENGTH..))
    }

    /// The object as it is stored.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = self.header().signed_bytes();
        bytes.reserve_exact(64 + self.payload.len());
        bytes.extend(self.announcement.signature.as_bytes());
        bytes.extend(&self.payload);
        bytes.into()
    }

    /// What the envelope says of its payload.
    pub fn header(&self) -> &Header {
        &self.announcement.header
    }

    /// What was wrapped.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}
