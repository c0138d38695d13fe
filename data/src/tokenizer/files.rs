//! Loading and saving a tokenizer folder, in the form that `transformers` reads.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::companion_files::{CONFIG_FILE, Companions, SPECIAL_TOKENS_FILE, TOKENIZER_FILE};
use super::tokenizer::Tokenizer;
use crate::error::DataError;
use crate::io::{FileSystem, MAX_JSON, WriteTarget, read_file, write_bytes_atomically};

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the one in a folder, with the configuration next to it.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let file = if path.is_dir() { path.join(TOKENIZER_FILE) } else { path.to_path_buf() };
        let json = read_file(&file, MAX_JSON).map_err(|source| DataError::read(&file, source))?;
        let companions = Companions::next_to(&file)?;
        Self::from_parts(json, companions, &file)
    }

    /// Writes the files from which `transformers.AutoTokenizer` loads this tokenizer.
    ///
    /// Creates the folder if necessary. Files that were loaded are written byte for byte; missing
    /// configuration is generated.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        self.save_on(&FileSystem, folder)
    }

    pub(crate) fn save_on(&self, disk: &dyn WriteTarget, folder: &Path) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(|source| DataError::write(folder, source))?;
        for (name, bytes) in self.files() {
            let path = folder.join(name);
            write_bytes_atomically(disk, &path, &bytes)
                .map_err(|source| DataError::write(&path, source))?;
        }
        Ok(())
    }

    /// Names and contents of the files that [`Tokenizer::save`] writes.
    ///
    /// `tokenizer.json` is last: a folder with this file is complete.
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
            // If true, decoding drops spaces before punctuation, even spaces of the text.
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
