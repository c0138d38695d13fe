//! Signed entries of a ledger, and their canonical encoding: one line of JSON.

use serde::{Deserialize, Serialize};

use super::operation::{MAX_REASON, Operation};
use super::rejection::{Rejection, Verified};
use crate::primitives::{Digest, Domain, Keypair, PeerId, RunId, Signature};

// Any change of the encoding needs another version, or old entries could not be verified.
const VERSION: u16 = 1;

/// The position of an entry. It is signed, so the entry is valid at this position only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPosition {
    /// The run.
    pub run: RunId,
    /// In a bucket the number of the object; in a contract the number of earlier calls of the
    /// wallet.
    pub number: u64,
    /// In a bucket the digest of the last valid entry; in a contract the digest that names the
    /// wallet and the contract.
    pub after: Digest,
}

impl EntryPosition {
    /// The position of the first entry of a log; its predecessor is the run ID.
    pub fn genesis(run: RunId) -> Self {
        Self { run, number: 0, after: *run.digest() }
    }
}

/// An operation with its position and the signature of its author.
///
/// - The signature covers the position, the author and the operation.
/// - A rotation also has the signature of the new key (wire: `consent`); all other operations must
///   not have a second one.
/// - The encoding has at most [`Entry::MAX_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    position: EntryPosition,
    author: PeerId,
    operation: Operation,
    signature: Signature,
    consent: Option<Signature>,
}

/// The signed part, in the order of fields on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedPart {
    version: u16,
    run: RunId,
    number: u64,
    after: Digest,
    author: PeerId,
    #[serde(rename = "statement")]
    operation: Operation,
}

/// The whole object, in the order of fields on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryDocument {
    entry: SignedPart,
    signature: SignatureText,
    consent: Option<SignatureText>,
}

/// The version alone.
///
/// It is parsed first, so an entry of a newer release is reported as such and not as a wrong form.
#[derive(Deserialize)]
struct VersionedEntry {
    entry: EntryVersion,
}

#[derive(Deserialize)]
struct EntryVersion {
    version: u16,
}

/// A signature as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy)]
struct SignatureText(Signature);

impl Serialize for SignatureText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for SignatureText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        // Two digests of 32 bytes: their parser already refuses upper case and other lengths.
        let bytes = text.split_at_checked(64).and_then(|(first, second)| {
            let halves = [first.parse::<Digest>().ok()?, second.parse::<Digest>().ok()?];
            halves.map(|half| *half.as_bytes()).concat().try_into().ok()
        });
        let bytes = bytes.ok_or_else(|| {
            serde::de::Error::custom("a signature must have 128 lower-case hexadecimal digits")
        })?;
        Ok(Self(Signature::from_bytes(bytes)))
    }
}

impl Entry {
    /// The longest encoding in bytes: twice the vote for a set of 64 validators.
    pub const MAX_LENGTH: usize = 16 << 10;

    /// Signs an operation for one position; `successor` is the new key of a rotation.
    ///
    /// # Errors
    /// [`Rejection::NoConsent`] if `successor` is not the key that the operation names, or the
    /// errors of [`Operation::check`].
    pub fn seal(
        author: &Keypair,
        position: EntryPosition,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Verified<Self> {
        // Before signing: a URL with an access key must never be signed, stored or sent.
        operation.check()?;
        let expected = if let Operation::Rotate { to } = &operation { Some(*to) } else { None };
        if successor.map(Keypair::peer) != expected {
            return Err(Rejection::NoConsent);
        }
        let message = message(&position, author.peer(), &operation);
        let signature = author.sign(Domain::Ledger, &message);
        let consent = successor.map(|successor| successor.sign(Domain::Ledger, &message));
        Ok(Self { position, author: author.peer(), operation, signature, consent })
    }

    /// An entry from its parts, as a contract stores them.
    ///
    /// # Errors
    /// [`Rejection::BadSignature`], [`Rejection::NoConsent`], or the errors of
    /// [`Operation::check`].
    pub fn assemble(
        position: EntryPosition,
        author: PeerId,
        operation: Operation,
        signature: Signature,
        consent: Option<Signature>,
    ) -> Verified<Self> {
        let entry = Self { position, author, operation, signature, consent };
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Parses an entry and checks that it was signed for `position`.
    ///
    /// # Errors
    /// The first rule that it breaks: encoding, position, signatures, operation.
    pub fn open(bytes: &[u8], position: &EntryPosition) -> Verified<Self> {
        let entry = Self::parse(bytes)?;
        let EntryPosition { run, number, after } = entry.position;
        if run != position.run {
            return Err(Rejection::OtherRun { expected: position.run, got: run });
        }
        if number != position.number {
            return Err(Rejection::WrongNumber { expected: position.number, got: number });
        }
        if after != position.after {
            return Err(Rejection::WrongPredecessor { expected: position.after, got: after });
        }
        // Last, because a signature costs far more than the comparisons: an outsider that fills
        // the log with copies of old entries costs its readers little.
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Parses an entry of any position without checking its signatures.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], [`Rejection::NotReadable`], [`Rejection::UnknownVersion`] or
    /// [`Rejection::NotCanonical`].
    pub fn parse(bytes: &[u8]) -> Verified<Self> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(Rejection::TooLarge {
                got: bytes.len() as u64,
                limit: Self::MAX_LENGTH as u64,
            });
        }
        let VersionedEntry { entry: EntryVersion { version: got } } =
            serde_json::from_slice(bytes).map_err(not_readable)?;
        if got != VERSION {
            return Err(Rejection::UnknownVersion { expected: VERSION, got });
        }
        let EntryDocument { entry: signed, signature, consent } =
            serde_json::from_slice(bytes).map_err(not_readable)?;
        let entry = Self {
            position: EntryPosition { run: signed.run, number: signed.number, after: signed.after },
            author: signed.author,
            operation: signed.operation,
            signature: signature.0,
            consent: consent.map(|consent| consent.0),
        };
        // JSON has many spellings of one value. Only one is accepted, or the digest of an entry
        // would depend on its writer.
        if entry.to_bytes() == bytes { Ok(entry) } else { Err(Rejection::NotCanonical) }
    }

    fn check_signatures(&self) -> Result<(), Rejection> {
        let message = message(&self.position, self.author, &self.operation);
        if !self.author.verify(Domain::Ledger, &message, &self.signature) {
            return Err(Rejection::BadSignature { author: self.author });
        }
        let has_consent = match (&self.operation, &self.consent) {
            (Operation::Rotate { to }, Some(consent)) => {
                to.verify(Domain::Ledger, &message, consent)
            }
            // A signature that no rule needs is refused: it could carry arbitrary data.
            (Operation::Rotate { .. }, None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        if has_consent { self.operation.check() } else { Err(Rejection::NoConsent) }
    }

    /// The canonical encoding: compact JSON and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = signed_part(&self.position, self.author, &self.operation);
        let consent = self.consent.map(SignatureText);
        let mut bytes =
            to_json(&EntryDocument { entry, signature: SignatureText(self.signature), consent });
        bytes.push(b'\n');
        bytes
    }

    /// The digest of the encoding; the next entry of a log names it as its predecessor.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The position that it was signed for.
    pub fn position(&self) -> &EntryPosition {
        &self.position
    }

    /// The peer or validator that signed it.
    pub fn author(&self) -> PeerId {
        self.author
    }

    /// Its operation.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The signature of the author.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The signature of the new key, if this is a rotation.
    pub fn consent(&self) -> Option<&Signature> {
        self.consent.as_ref()
    }
}

fn signed_part(position: &EntryPosition, author: PeerId, operation: &Operation) -> SignedPart {
    let EntryPosition { run, number, after } = *position;
    SignedPart { version: VERSION, run, number, after, author, operation: operation.clone() }
}

/// The signed bytes: the value of `entry`, byte for byte as in the object.
fn message(position: &EntryPosition, author: PeerId, operation: &Operation) -> Vec<u8> {
    to_json(&signed_part(position, author, operation))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and lists of them are JSON")
}

fn not_readable(error: serde_json::Error) -> Rejection {
    // The message can repeat a field name that the author of the bytes chose.
    Rejection::NotReadable { reason: error.to_string().chars().take(MAX_REASON).collect() }
}
