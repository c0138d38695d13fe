//! One signed statement at one place, and its one encoding: a line of JSON.

use serde::{Deserialize, Serialize};

use super::operation::Statement;
use super::rejection::Refusal;
use crate::primitives::{Digest, Domain, Identity, PeerId, RunId, Signature};

const VERSION: u16 = 1;

/// Where an entry stands; it is signed, so that an entry counts there and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run.
    pub run: RunId,
    /// Its number: in a bucket that of the object, in a contract how many entries its account made before.
    pub number: u64,
    /// What it stands on: in a bucket the digest of the entry before, in a contract the account within it.
    pub after: Digest,
}

impl Place {
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
    place: Place,
    author: PeerId,
    statement: Statement,
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
    statement: Statement,
}

/// The object as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    entry: Signed,
    signature: SignatureText,
    consent: Option<SignatureText>,
}

/// The only field that is read of an entry of an unknown version.
#[derive(Deserialize)]
struct Versioned {
    entry: Version,
}

#[derive(Deserialize)]
struct Version {
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
        let bytes =
            bytes.ok_or_else(|| serde::de::Error::custom("a signature has 128 lower-case hexadecimal digits"))?;
        Ok(Self(Signature::from_bytes(bytes)))
    }
}

impl Entry {
    /// The longest encoding in bytes: 64 validators fit in twice.
    pub const MAX_LENGTH: usize = 16 << 10;

    /// Signs a statement for one place; `successor` is the new key of a rotation.
    ///
    /// # Errors
    /// [`Refusal::NoConsent`] if the successor is not who the statement names, or what
    /// [the statement itself](Statement::check) is refused for.
    pub fn seal(
        author: &Identity,
        place: Place,
        statement: Statement,
        successor: Option<&Identity>,
    ) -> Result<Self, Refusal> {
        statement.check()?;
        let expected = if let Statement::Rotate { to } = &statement { Some(*to) } else { None };
        if successor.map(Identity::peer) != expected {
            return Err(Refusal::NoConsent);
        }
        let message = message(&place, author.peer(), &statement);
        let signature = author.sign(Domain::Ledger, &message);
        let consent = successor.map(|successor| successor.sign(Domain::Ledger, &message));
        Ok(Self { place, author: author.peer(), statement, signature, consent })
    }

    /// An entry whose parts came one by one.
    ///
    /// # Errors
    /// As for [`Entry::parse`], as far as the parts can be wrong.
    pub fn assemble(
        place: Place,
        author: PeerId,
        statement: Statement,
        signature: Signature,
        consent: Option<Signature>,
    ) -> Result<Self, Refusal> {
        let entry = Self { place, author, statement, signature, consent };
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Reads an entry that must stand at `place`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, cheapest check first, signatures last.
    pub fn open(bytes: &[u8], place: &Place) -> Result<Self, Refusal> {
        let entry = Self::parse(bytes)?;
        let Place { run, number, after } = entry.place;
        if run != place.run {
            return Err(Refusal::OtherRun { expected: place.run, got: run });
        }
        if number != place.number {
            return Err(Refusal::WrongNumber { expected: place.number, got: number });
        }
        if after != place.after {
            return Err(Refusal::WrongPredecessor { expected: place.after, got: after });
        }
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Reads the encoding of any entry; its signatures are not checked.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], [`Refusal::NotReadable`], [`Refusal::UnknownVersion`] or [`Refusal::NotCanonical`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(Refusal::TooLarge { got: bytes.len() as u64, limit: Self::MAX_LENGTH as u64 });
        }
        let Versioned { entry: Version { version: got } } = serde_json::from_slice(bytes).map_err(not_readable)?;
        if got != VERSION {
            return Err(Refusal::UnknownVersion { expected: VERSION, got });
        }
        let Document { entry: signed, signature, consent } = serde_json::from_slice(bytes).map_err(not_readable)?;
        let entry = Self {
            place: Place { run: signed.run, number: signed.number, after: signed.after },
            author: signed.author,
            statement: signed.statement,
            signature: signature.0,
            consent: consent.map(|consent| consent.0),
        };
        match entry.to_bytes() == bytes {
            true => Ok(entry),
            false => Err(Refusal::NotCanonical),
        }
    }

    fn check_signatures(&self) -> Result<(), Refusal> {
        let message = message(&self.place, self.author, &self.statement);
        if !self.author.verify(Domain::Ledger, &message, &self.signature) {
            return Err(Refusal::BadSignature { author: self.author });
        }
        let agrees = match (&self.statement, &self.consent) {
            (Statement::Rotate { to }, Some(consent)) => to.verify(Domain::Ledger, &message, consent),
            (Statement::Rotate { .. }, None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        match agrees {
            true => self.statement.check(),
            false => Err(Refusal::NoConsent),
        }
    }

    /// The one encoding: compact JSON and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = signed(&self.place, self.author, &self.statement);
        let consent = self.consent.map(SignatureText);
        let mut bytes = to_json(&Document { entry, signature: SignatureText(self.signature), consent });
        bytes.push(b'\n');
        bytes
    }

    /// The digest of the encoding, which the next entry stands on.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Who says it.
    pub fn author(&self) -> PeerId {
        self.author
    }

    /// What is said.
    pub fn statement(&self) -> &Statement {
        &self.statement
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

fn signed(place: &Place, author: PeerId, statement: &Statement) -> Signed {
    let Place { run, number, after } = *place;
    Signed { version: VERSION, run, number, after, author, statement: statement.clone() }
}

/// What is signed: the value of `entry`, byte for byte as it stands in the object.
fn message(place: &Place, author: PeerId, statement: &Statement) -> Vec<u8> {
    to_json(&signed(place, author, statement))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and lists of them are JSON")
}

fn not_readable(error: serde_json::Error) -> Refusal {
    // Names that a stranger chose may be long.
    Refusal::NotReadable { reason: error.to_string().chars().take(200).collect() }
}
