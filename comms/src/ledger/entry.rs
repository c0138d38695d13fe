//! One signed statement at one place, and its one encoding: a line of JSON.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::rejection::Rejection;
use crate::primitives::{Digest, Domain, Keypair, PeerId, RunId, Signature};

const VERSION: u16 = 1;

/// Where an entry stands; it is signed, so that an entry counts there and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPosition {
    /// The run.
    pub run: RunId,
    /// Its number: in a bucket that of the object, in a contract how many entries its account made before.
    pub number: u64,
    /// What it stands on: in a bucket the digest of the entry before, in a contract the account within it.
    pub after: Digest,
}

impl EntryPosition {
    /// The first place of a run's log, which stands on the run itself.
    pub fn genesis(run: RunId) -> Self {
        Self { run, number: 0, after: *run.digest() }
    }
}

/// A statement together with the proof of who made it, and where.
///
/// - The signature of the author covers the place, the author and the statement.
/// - A rotation, and nothing else, is signed by the new key as well.
/// - Its encoding has at most [`Entry::MAX_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    place: EntryPosition,
    author: PeerId,
    operation: Operation,
    signature: Signature,
    consent: Option<Signature>,
}

/// What is signed, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    version: u16,
    run: RunId,
    number: u64,
    after: Digest,
    author: PeerId,
    #[serde(rename = "statement")]
    operation: Operation,
}

/// The object as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryDocument {
    entry: Signed,
    signature: SignatureText,
    consent: Option<SignatureText>,
}

/// The only field that is read of an entry of an unknown version.
#[derive(Deserialize)]
struct Versioned {
    entry: EntryVersion,
}

#[derive(Deserialize)]
struct EntryVersion {
    version: u16,
}

/// A signature as 128 lower-case hexadecimal digits: two digests side by side.
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
        let bytes = text.split_at_checked(64).and_then(|(first, second)| {
            let halves = [first.parse::<Digest>().ok()?, second.parse::<Digest>().ok()?];
            halves.map(|half| *half.as_bytes()).concat().try_into().ok()
        });
        let bytes = bytes.ok_or_else(|| {
            serde::de::Error::custom("a signature has 128 lower-case hexadecimal digits")
        })?;
        Ok(Self(Signature::from_bytes(bytes)))
    }
}

impl Entry {
    /// The longest encoding in bytes: 64 validators fit in twice.
    pub const MAX_LENGTH: usize = 16 << 10;

    /// Signs a statement for one place; `successor` is the new key of a rotation.
    ///
    /// # Errors
    /// [`Rejection::NoConsent`] if the successor is not who the statement names, or what
    /// [the statement itself](Operation::check) is refused for.
    pub fn seal(
        author: &Keypair,
        place: EntryPosition,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<Self, Rejection> {
        operation.check()?;
        let expected = if let Operation::Rotate { to } = &operation { Some(*to) } else { None };
        if successor.map(Keypair::peer) != expected {
            return Err(Rejection::NoConsent);
        }
        let message = message(&place, author.peer(), &operation);
        let signature = author.sign(Domain::Ledger, &message);
        let consent = successor.map(|successor| successor.sign(Domain::Ledger, &message));
        Ok(Self { place, author: author.peer(), operation, signature, consent })
    }

    /// An entry whose parts came one by one.
    ///
    /// # Errors
    /// As for [`Entry::parse`], as far as the parts can be wrong.
    pub fn assemble(
        place: EntryPosition,
        author: PeerId,
        operation: Operation,
        signature: Signature,
        consent: Option<Signature>,
    ) -> Result<Self, Rejection> {
        let entry = Self { place, author, operation, signature, consent };
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Reads an entry that must stand at `place`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, cheapest check first, signatures last.
    pub fn open(bytes: &[u8], place: &EntryPosition) -> Result<Self, Rejection> {
        let entry = Self::parse(bytes)?;
        let EntryPosition { run, number, after } = entry.place;
        if run != place.run {
            return Err(Rejection::OtherRun { expected: place.run, got: run });
        }
        if number != place.number {
            return Err(Rejection::WrongNumber { expected: place.number, got: number });
        }
        if after != place.after {
            return Err(Rejection::WrongPredecessor { expected: place.after, got: after });
        }
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Reads the encoding of any entry; its signatures are not checked.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], [`Rejection::NotReadable`], [`Rejection::UnknownVersion`] or [`Rejection::NotCanonical`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(Rejection::TooLarge {
                got: bytes.len() as u64,
                limit: Self::MAX_LENGTH as u64,
            });
        }
        let Versioned { entry: EntryVersion { version: got } } =
            serde_json::from_slice(bytes).map_err(not_readable)?;
        if got != VERSION {
            return Err(Rejection::UnknownVersion { expected: VERSION, got });
        }
        let EntryDocument { entry: signed, signature, consent } =
            serde_json::from_slice(bytes).map_err(not_readable)?;
        let entry = Self {
            place: EntryPosition { run: signed.run, number: signed.number, after: signed.after },
            author: signed.author,
            operation: signed.operation,
            signature: signature.0,
            consent: consent.map(|consent| consent.0),
        };
        match entry.to_bytes() == bytes {
            true => Ok(entry),
            false => Err(Rejection::NotCanonical),
        }
    }

    fn check_signatures(&self) -> Result<(), Rejection> {
        let message = message(&self.place, self.author, &self.operation);
        if !self.author.verify(Domain::Ledger, &message, &self.signature) {
            return Err(Rejection::BadSignature { author: self.author });
        }
        let agrees = match (&self.operation, &self.consent) {
            (Operation::Rotate { to }, Some(consent)) => {
                to.verify(Domain::Ledger, &message, consent)
            }
            (Operation::Rotate { .. }, None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        match agrees {
            true => self.operation.check(),
            false => Err(Rejection::NoConsent),
        }
    }

    /// The one encoding: compact JSON and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = signed(&self.place, self.author, &self.operation);
        let consent = self.consent.map(SignatureText);
        let mut bytes =
            to_json(&EntryDocument { entry, signature: SignatureText(self.signature), consent });
        bytes.push(b'\n');
        bytes
    }

    /// The digest of the encoding, which the next entry stands on.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Where it stands.
    pub fn place(&self) -> &EntryPosition {
        &self.place
    }

    /// Who says it.
    pub fn author(&self) -> PeerId {
        self.author
    }

    /// What is said.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The author's signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The signature of the new key, if this is a rotation.
    pub fn consent(&self) -> Option<&Signature> {
        self.consent.as_ref()
    }
}

fn signed(place: &EntryPosition, author: PeerId, operation: &Operation) -> Signed {
    let EntryPosition { run, number, after } = *place;
    Signed { version: VERSION, run, number, after, author, operation: operation.clone() }
}

/// What is signed: the value of `entry`, byte for byte as it stands in the object.
fn message(place: &EntryPosition, author: PeerId, operation: &Operation) -> Vec<u8> {
    to_json(&signed(place, author, operation))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and lists of them are JSON")
}

fn not_readable(error: serde_json::Error) -> Rejection {
    // Names that a stranger chose may be long.
    Rejection::NotReadable { reason: error.to_string().chars().take(200).collect() }
}
