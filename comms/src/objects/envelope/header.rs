//! The header of an envelope: kind, place and author of a payload, and the bytes that are signed.

use crate::objects::lineage::Lineage;
use crate::primitives::{Digest, Fields, PeerId, Round, RunId};

/// The first bytes of every envelope.
pub(crate) const MAGIC: [u8; 4] = *b"CVEY";

/// The version of the encoding that this build writes, and the only one that it reads.
pub(crate) const VERSION: u16 = 1;

/// The signed part of the header, in bytes.
const SIGNED_LENGTH: usize = 148;

/// The kind of a payload. Codes on the wire never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Kind {
    /// The delta of one peer.
    Delta = 1,
    /// Reserved: manifests were written in envelopes by an earlier version.
    Manifest = 2,
    /// A heartbeat.
    Heartbeat = 3,
    /// A join request.
    JoinRequest = 4,
    /// A leave notice.
    LeaveNotice = 5,
    /// The description of a checkpoint.
    Checkpoint = 6,
    /// The commitment of one peer.
    Commitment = 7,
    /// The commitment list of one validator.
    CommitmentList = 8,
    /// The verdict of one proposer.
    Verdict = 9,
    /// A vote on a verdict.
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

    /// The kind with this number, if there is one.
    pub(super) fn from_code(code: u16) -> Option<Self> {
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

/// Where a payload belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The run.
    pub run: RunId,
    /// The round within the run.
    pub round: Round,
    /// The kind of the payload.
    pub kind: Kind,
    /// The lineage of the weights that the payload starts from.
    pub base: Lineage,
}

/// The header of an envelope: the signed statement about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the payload belongs.
    pub subject: Subject,
    /// The author.
    pub peer: PeerId,
    /// The number of bytes after the header.
    pub payload_length: u64,
    /// The digest of the payload.
    pub payload_digest: Digest,
}

impl Header {
    /// The length of header and signature in bytes.
    pub const LENGTH: usize = SIGNED_LENGTH + 64;

    /// The signed bytes, in wire order.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        // The signature covers magic and version as well: an envelope of a later version cannot be
        // presented as one of this version.
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

    /// Reads the fields after the kind; `None` if the bytes end early.
    pub(super) fn parse_rest(kind: Kind, fields: &mut Fields<'_>) -> Option<Self> {
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
