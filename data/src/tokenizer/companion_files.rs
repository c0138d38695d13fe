//! The files of a tokenizer folder, and the two small ones next to `tokenizer.json`.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::error::DataError;
use crate::io::{MAX_JSON, read_file};

/// The file that describes a tokenizer completely.
pub(crate) const TOKENIZER_FILE: &str = "tokenizer.json";

/// The settings of `transformers` for a tokenizer.
pub(super) const CONFIG_FILE: &str = "tokenizer_config.json";

/// The names of the special tokens, which `transformers` also reads.
pub(super) const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// The contents of the files next to a `tokenizer.json`, kept byte for byte.
#[derive(Debug, Clone, Default)]
pub(super) struct Companions {
    pub(super) config: Option<Vec<u8>>,
    pub(super) special_tokens: Option<Vec<u8>>,
}

impl Companions {
    /// Reads the files in the folder of a `tokenizer.json`; both are optional.
    pub(super) fn next_to(path: &Path) -> Result<Self, DataError> {
        Ok(Self {
            config: read_if_present(&path.with_file_name(CONFIG_FILE))?,
            special_tokens: read_if_present(&path.with_file_name(SPECIAL_TOKENS_FILE))?,
        })
    }

    /// The `eos_token` of `tokenizer_config.json`: a name, or an object with the name as `content`.
    pub(super) fn end_of_text_name(&self) -> Option<String> {
        // A file that cannot be parsed counts as absent: it is optional and is only passed on.
        let config: Value = serde_json::from_slice(self.config.as_deref()?).ok()?;
        let token = config.get("eos_token")?;
        token.as_str().or_else(|| token.get("content")?.as_str()).map(String::from)
    }
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match read_file(path, MAX_JSON) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::read(path, source)),
    }
}
