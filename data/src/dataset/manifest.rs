//! The manifest of a dataset folder: its shards, their digests, and the tokenizer.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, io};

use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DataError;
use crate::io::{FileDigest, MAX_JSON, read_file};

/// The file that marks a folder as a finished dataset; it is written last.
pub const MANIFEST_FILE: &str = "manifest.json";

const FORMAT: &str = "covey-dataset";
const VERSION: u64 = 1;

/// One of the two parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The part on which a model is trained.
    Train,
    /// The part on which its loss is measured; it is never used in training.
    HeldOut,
}

impl Split {
    /// Both, in the order of the manifest.
    pub const ALL: [Self; 2] = [Self::Train, Self::HeldOut];

    /// The name in file names and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The number type of tokens on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    /// Two bytes, for vocabularies up to 65,536.
    U16,
    /// Four bytes, for larger ones.
    U32,
}

impl TokenType {
    /// The smallest type that can represent every id of a vocabulary.
    pub fn for_vocabulary(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U16 => "U16",
            Self::U32 => "U32",
        }
    }

    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::U16 => Dtype::U16,
            Self::U32 => Dtype::U32,
        }
    }
}

/// The contents of `manifest.json`.
///
/// - File names are plain names inside the folder.
/// - Every id of the vocabulary fits the token type.
/// - Totals are the sums over the shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    format: String,
    version: u64,
    /// BLAKE3 of the `tokenizer.json` in the folder.
    pub tokenizer: FileDigest,
    /// The highest token id plus one.
    pub vocab_size: usize,
    /// How tokens are stored.
    pub token_type: TokenType,
    /// The token after every document, if the vocabulary has one.
    pub end_of_text: Option<u32>,
    /// Digest of all inputs and of every setting that affects the shards.
    pub recipe: FileDigest,
    /// The shards of both splits, each split in order.
    pub shards: Vec<ShardRecord>,
    /// Sums for each split.
    pub totals: BTreeMap<Split, SplitTotals>,
}

/// The entry of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// The file name in the folder.
    pub file: String,
    /// The split of its documents.
    pub split: Split,
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents; none continues in another shard.
    pub documents: u64,
    /// UTF-8 bytes of the text of its documents.
    pub text_bytes: u64,
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub digest: FileDigest,
}

/// Sums over the shards of one split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitTotals {
    /// Number of shards.
    pub shards: u64,
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of the documents.
    pub text_bytes: u64,
}

impl DatasetManifest {
    /// The manifest of finished shards; totals are computed.
    pub(crate) fn new(
        tokenizer: &crate::tokenizer::Tokenizer,
        recipe: FileDigest,
        shards: Vec<ShardRecord>,
    ) -> Self {
        Self {
            format: FORMAT.to_string(),
            version: VERSION,
            tokenizer: tokenizer.digest(),
            vocab_size: tokenizer.vocab_size(),
            token_type: TokenType::for_vocabulary(tokenizer.vocab_size()),
            end_of_text: tokenizer.end_of_text(),
            recipe,
            totals: totals(&shards),
            shards,
        }
    }

    /// Reads and checks the manifest of a folder.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        Self::parse(&folder.join(MANIFEST_FILE), &Self::read_bytes(folder)?)
    }

    pub(crate) fn read_bytes(folder: &Path) -> Result<Vec<u8>, DataError> {
        if !folder.exists() {
            return Err(DataError::NotFound { path: folder.into() });
        }
        let path = folder.join(MANIFEST_FILE);
        // A missing folder and a missing manifest are different mistakes with different hints.
        read_file(&path, MAX_JSON).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DataError::ManifestMissing { folder: folder.into() },
            _ => DataError::read(&path, source),
        })
    }

    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| invalid(path, error.to_string()))?;
        // Format and version come before the fields: the fields of another version are unknown, and
        // an error about one of them would mislead.
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(invalid(path, format!("it is not a manifest of format `{FORMAT}`")));
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(got) => {
                let (path, expected) = (path.into(), VERSION);
                return Err(DataError::ManifestVersion { path, got, expected });
            }
            None => return Err(invalid(path, "it has no version".to_string())),
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| invalid(path, error.to_string()))?;
        manifest.check().map_err(|reason| invalid(path, reason))?;
        Ok(manifest)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("a tree of strings and numbers is always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The shards of one split, in order.
    pub fn shards_of(&self, split: Split) -> impl Iterator<Item = &ShardRecord> {
        self.shards.iter().filter(move |shard| shard.split == split)
    }

    /// The sums of one split.
    pub fn totals_of(&self, split: Split) -> SplitTotals {
        self.totals.get(&split).copied().unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let size = self.vocab_size;
        if size == 0 || size > u32::MAX as usize {
            return Err(format!("a vocabulary of {size} tokens is impossible"));
        }
        if self.token_type != TokenType::for_vocabulary(size) {
            return Err(format!("{} is not the type for {size} tokens", self.token_type.name()));
        }
        if self.end_of_text.is_some_and(|id| id as usize >= size) {
            return Err("the end of text is outside the vocabulary".to_string());
        }
        self.check_shards()
    }

    /// A manifest may come from another machine: its names must not lead out of the folder, and its
    /// numbers must not overflow.
    fn check_shards(&self) -> Result<(), String> {
        if let Some(shard) = self.shards.iter().find(|shard| !is_plain_name(&shard.file)) {
            return Err(format!("`{}` is not a plain file name", shard.file));
        }
        // A token takes at least two bytes and a document end eight, so these bounds are generous.
        // `bytes` is compared with the file on opening; together this keeps offsets from overflow.
        if let Some(shard) = self.shards.iter().find(|shard| shard.claims_too_much()) {
            return Err(format!("{} cannot hold {} tokens", shard.file, shard.tokens));
        }
        if totals(&self.shards) != self.totals {
            return Err("its totals are not the sums over its shards".to_string());
        }
        Ok(())
    }
}

impl ShardRecord {
    fn claims_too_much(&self) -> bool {
        self.tokens > self.bytes || self.documents > self.bytes
    }
}

fn invalid(path: &Path, reason: String) -> DataError {
    DataError::ManifestInvalid { path: path.into(), reason }
}

/// Returns true if a name stays inside its folder on every system.
///
/// Separators, drive letters, hidden files and `..` need a character that is refused here.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn totals(shards: &[ShardRecord]) -> BTreeMap<Split, SplitTotals> {
    let mut totals: BTreeMap<Split, SplitTotals> =
        Split::ALL.into_iter().map(|split| (split, SplitTotals::default())).collect();
    for shard in shards {
        let total = totals.entry(shard.split).or_default();
        // Saturating, because the counts of a foreign manifest can be anything.
        total.shards += 1;
        total.tokens = total.tokens.saturating_add(shard.tokens);
        total.documents = total.documents.saturating_add(shard.documents);
        total.text_bytes = total.text_bytes.saturating_add(shard.text_bytes);
    }
    totals
}
