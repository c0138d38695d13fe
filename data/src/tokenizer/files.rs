//! Tokenizers on the disk: `tokenizer.json` and the two small files that `transformers` wants beside it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::tokenizer::Tokenizer;
use crate::error::DataError;
use crate::io::{FileSystem, WriteTarget, write_bytes_atomically};

/// The file that describes a tokenizer completely.
pub(crate) const TOKENIZER_FILE: &str = "tokenizer.json";
const CONFIG_FILE: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// The files beside a `tokenizer.json`, kept as they were found.
#[derive(Debug, Clone, Default)]
pub(super) struct Companions {
    config: Option<Vec<u8>>,
    special_tokens: Option<Vec<u8>>,
}

impl Companions {
    fn beside(path: &Path) -> Result<Self, DataError> {
        Ok(Self {
            config: read_if_there(&path.with_file_name(CONFIG_FILE))?,
            special_tokens: read_if_there(&path.with_file_name(SPECIAL_TOKENS_FILE))?,
        })
    }

    /// What `tokenizer_config.json` calls `eos_token`: a name, or an object with the name as `content`.
    pub(super) fn end_of_text_name(&self) -> Option<String> {
        let config: Value = serde_json::from_slice(self.config.as_deref()?).ok()?;
        let token = config.get("eos_token")?;
        token.as_str().or_else(|| token.get("content")?.as_str()).map(String::from)
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the one in a folder, with the configuration beside it.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let file = if path.is_dir() { path.join(TOKENIZER_FILE) } else { path.to_path_buf() };
        let json = fs::read(&file).map_err(|source| DataError::read(&file, source))?;
        let companions = Companions::beside(&file)?;
        Self::from_parts(json, companions, &file)
    }

    /// Writes the files from which `transformers.AutoTokenizer` loads this tokenizer; the folder is made if need be.
    ///
    /// Files that were loaded come out byte for byte; configuration that was not there is generated.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        self.save_on(&FileSystem, folder)
    }

    pub(crate) fn save_on(&self, disk: &dyn WriteTarget, folder: &Path) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(|source| DataError::write(folder, source))?;
        self.files()
            .iter()
            .try_for_each(|(name, bytes)| write_bytes_atomically(disk, &folder.join(name), bytes))
    }

    /// Names and contents of the files that [`Tokenizer::save`] writes, the `tokenizer.json` last.
    pub fn files(&self) -> [(&'static str, Vec<u8>); 3] {
        let companions = self.companions();
        let config = companions.config.clone().unwrap_or_else(|| self.generated_config());
        let special_tokens =
            companions.special_tokens.clone().unwrap_or_else(|| self.generated_special_tokens());
        [
            (CONFIG_FILE, config),
            (SPECIAL_TOKENS_FILE, special_tokens),
            (TOKENIZER_FILE, self.json().to_vec()),
        ]
    }

    fn generated_config(&self) -> Vec<u8> {
        let end_of_text = self.end_of_text_name();
        pretty(&json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": end_of_text,
            "eos_token": end_of_text,
            // Otherwise decoding would drop spaces before punctuation that the text really had.
            "clean_up_tokenization_spaces": false,
        }))
    }

    fn generated_special_tokens(&self) -> Vec<u8> {
        match self.end_of_text_name() {
            Some(name) => pretty(&json!({ "bos_token": name, "eos_token": name })),
            None => pretty(&json!({})),
        }
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(value).expect("a tree of strings and numbers is always JSON");
    bytes.push(b'\n');
    bytes
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::read(path, source)),
    }
}
