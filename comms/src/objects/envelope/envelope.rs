//! The signed envelope around every object of a peer or validator: its author, kind, round, run and
//! base.
//!
//! A header of 212 bytes precedes the payload; `docs/protocol.md` specifies it byte by byte. The
//! header suffices to reject an object before its payload is downloaded. The payload is then
//! checked against the signed digest. Each envelope has one encoding, so equal envelopes are equal
//! bytes.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::error::EnvelopeError;
use super::header::{Header, Kind, MAGIC, Subject, VERSION};
use crate::objects::lineage::Lineage;
use crate::primitives::{Digest, Domain, Fields, Keypair, PeerId, Round, RunId, Signature};

/// The allowed authors of an envelope.
#[derive(Clone, Copy, Debug)]
pub enum Author<'members> {
    /// Exactly this peer: the owner of the object's key.
    Is(PeerId),
    /// Any of these peers.
    Among(&'members BTreeSet<PeerId>),
}

/// The expectation of a reader. Every given field must match.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'members> {
    /// The run of the reader.
    pub run: RunId,
    /// The kind of the object's key.
    pub kind: Kind,
    /// The round, if the reader knows it.
    pub round: Option<Round>,
    /// The lineage of the reader's weights, if it matters.
    pub base: Option<Lineage>,
    /// The allowed authors.
    pub author: Author<'members>,
    /// The longest allowed payload in bytes.
    pub max_payload: u64,
}

impl Expectation<'_> {
    /// The largest object that can satisfy this expectation, in bytes.
    pub fn max_object(&self) -> u64 {
        self.max_payload.saturating_add(Header::LENGTH as u64)
    }

    /// Rejects a header with the first problem found, cheapest check first.
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

/// A header with a valid signature that satisfies an expectation. Its payload has not been read.
///
/// The first [`Header::LENGTH`] bytes of an object suffice for it, so a reader can decide whether
/// to download the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    header: Header,
    signature: Signature,
}

impl Announcement {
    /// Checks the first bytes of an object. Bytes after the header are ignored.
    ///
    /// # Errors
    /// The first problem found, cheapest check first, the signature last.
    pub fn open(bytes: &[u8], expectation: &Expectation<'_>) -> Result<Self, EnvelopeError> {
        let mut fields = Fields::of(bytes);
        let header = parse_header(&mut fields)?;
        let cut = EnvelopeError::HeaderCut { expected: Header::LENGTH, got: bytes.len() };
        let signature = Signature::from_bytes(fields.take().ok_or(cut)?);
        // The signature check is the only expensive one, so it comes last.
        expectation.check(&header)?;
        if !header.peer.verify(Domain::Envelope, &header.signed_bytes(), &signature) {
            return Err(EnvelopeError::BadSignature { peer: header.peer });
        }
        Ok(Self { header, signature })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Combines the announcement with the payload that was read after it.
    fn with_payload(self, payload: Bytes) -> Result<Envelope, EnvelopeError> {
        let Header { peer, payload_length: expected, payload_digest, .. } = self.header;
        let got = payload.len() as u64;
        // Both lengths are checked before the digest: a reader must not hash unsigned bytes.
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

/// A payload with a proof of its author and of its place.
///
/// - The payload has the length and the digest of the header.
/// - The author's signature covers every field of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    announcement: Announcement,
    payload: Bytes,
}

impl Envelope {
    /// Signs a payload as `author`.
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

    /// Reads an object and checks it against an expectation. The payload shares the memory of
    /// `object`.
    ///
    /// # Errors
    /// The first problem found, cheapest check first: header, signature, payload.
    pub fn open(object: &Bytes, expectation: &Expectation<'_>) -> Result<Self, EnvelopeError> {
        Announcement::open(object, expectation)?.with_payload(object.slice(Header::LENGTH..))
    }

    /// The encoding as it is stored.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = self.header().signed_bytes();
        // One allocation: a delta of a large model has gigabytes.
        bytes.reserve_exact(64 + self.payload.len());
        bytes.extend(self.announcement.signature.as_bytes());
        bytes.extend(&self.payload);
        bytes.into()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.announcement.header
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

/// Reads a header from the front of `fields`.
fn parse_header(fields: &mut Fields<'_>) -> Result<Header, EnvelopeError> {
    let cut = EnvelopeError::HeaderCut { expected: Header::LENGTH, got: fields.left() };
    if fields.left() < Header::LENGTH {
        return Err(cut);
    }
    if fields.take() != Some(MAGIC) {
        return Err(EnvelopeError::NotAnEnvelope);
    }
    // The version comes first: a later version may change all other fields.
    match fields.u16() {
        Some(VERSION) => {}
        got => {
            let got = got.unwrap_or_default();
            return Err(EnvelopeError::UnknownVersion { expected: VERSION, got });
        }
    }
    let code = fields.u16().unwrap_or_default();
    let kind = Kind::from_code(code).ok_or(EnvelopeError::UnknownKind { code })?;
    Header::parse_rest(kind, fields).ok_or(cut)
}
