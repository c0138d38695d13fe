//! The tensors of a checkpoint: safetensors files, one or several, read tensor by tensor.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use covey_model::error::HubError;
use covey_model::hub::{FloatDtype, SafetensorsFile, TensorHeader, write_safetensors};

use super::disk::Disk;
use super::error::{CheckpointError, Damage};
use super::hashed_file::HashedFile;
use super::manifest::FileEntry;
use super::snapshot::NamedTensor;

/// The end of the name of every file of tensors.
pub(super) const EXTENSION: &str = ".safetensors";

const FORMAT: FloatDtype = FloatDtype::Fp32;

/// One tensor that is about to be written.
pub(super) struct TensorSource<'a> {
    name: Cow<'a, str>,
    shape: &'a [usize],
    /// One behind the other.
    pieces: Vec<&'a [f32]>,
}

impl<'a> TensorSource<'a> {
    /// A tensor to be written under `name`.
    pub(super) fn new(
        name: impl Into<Cow<'a, str>>,
        shape: &'a [usize],
        pieces: Vec<&'a [f32]>,
    ) -> Self {
        Self { name: name.into(), shape, pieces }
    }

    fn num_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| size_of_val(*piece) as u64).sum()
    }

    fn header(&self) -> TensorHeader {
        TensorHeader {
            name: self.name.to_string(),
            dtype: FORMAT.dtype(),
            shape: self.shape.to_vec(),
        }
    }
}

/// Writes `tensors` in order to `<stem>.safetensors`, or, when they exceed
/// `max_bytes`, to several numbered files with an index, as on the Hub.
pub(super) fn write_tensors(
    disk: &dyn Disk,
    folder: &Path,
    stem: &str,
    tensors: &[TensorSource],
    max_bytes: u64,
) -> Result<Vec<FileEntry>, CheckpointError> {
    let shards = split(tensors, max_bytes);
    if let [whole] = shards.as_slice() {
        return Ok(vec![write_file(disk, folder, &format!("{stem}{EXTENSION}"), whole)?]);
    }
    let total = shards.len();
    let names: Vec<_> =
        (1..=total).map(|number| format!("{stem}-{number:05}-of-{total:05}{EXTENSION}")).collect();
    let mut entries = Vec::with_capacity(total + 1);
    for (name, shard) in names.iter().zip(&shards) {
        entries.push(write_file(disk, folder, name, shard)?);
    }
    let index = index_json(&names, &shards);
    entries.push(HashedFile::write_whole(
        disk,
        folder,
        &format!("{stem}{EXTENSION}.index.json"),
        index.as_bytes(),
    )?);
    Ok(entries)
}

/// Cuts the list into runs of at most `max_bytes`; a tensor above that has a run of its own.
fn split<'a, 'b>(tensors: &'a [TensorSource<'b>], max_bytes: u64) -> Vec<&'a [TensorSource<'b>]> {
    let mut shards = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        if index > start && bytes + tensor.num_bytes() > max_bytes {
            shards.push(&tensors[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += tensor.num_bytes();
    }
    shards.push(&tensors[start..]);
    shards
}

fn index_json(names: &[String], shards: &[&[TensorSource]]) -> String {
    let total: u64 =
        shards.iter().flat_map(|shard| shard.iter()).map(TensorSource::num_bytes).sum();
    let places = names.iter().zip(shards).flat_map(|(name, shard)| {
        shard.iter().map(|tensor| (tensor.name.to_string(), serde_json::Value::from(name.as_str())))
    });
    let map: serde_json::Map<_, _> = places.collect();
    let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": map });
    serde_json::to_string_pretty(&index).expect("strings and numbers always have a JSON form")
}

fn write_file(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    tensors: &[TensorSource],
) -> Result<FileEntry, CheckpointError> {
    // `transformers` refuses files that do not say whose layout the numbers have.
    let notes = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let headers: Vec<_> = tensors.iter().map(TensorSource::header).collect();
    let mut file = HashedFile::create(disk, folder, name)?;
    write_safetensors(&mut file, &notes, &headers, |index, sink| {
        tensors[index].pieces.iter().try_for_each(|piece| FORMAT.write(piece, sink))
    })
    .map_err(|source| CheckpointError::io("write", &folder.join(name), source))?;
    file.finish()
}

/// The tensors of all files of one stem.
#[derive(Clone, Debug)]
pub(super) struct TensorFiles {
    files: Vec<SafetensorsFile>,
    /// In the order in which they were written.
    names: Vec<String>,
}

impl TensorFiles {
    /// Opens those of the files `names` in `folder` that belong to `stem`.
    pub(super) fn open<'a>(
        folder: &Path,
        stem: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self, CheckpointError> {
        let mut opened = Self { files: Vec::new(), names: Vec::new() };
        for name in names.filter(|name| is_part(stem, name)) {
            let unreadable = |reason| {
                CheckpointError::damaged(
                    folder,
                    Damage::Unreadable { file: name.to_owned(), reason },
                )
            };
            let file = SafetensorsFile::open(folder.join(name))
                .map_err(|error| unreadable(error.to_string()))?;
            if let Some((tensor, info)) =
                file.tensors().iter().find(|(_, info)| info.dtype != FORMAT.dtype())
            {
                return Err(unreadable(format!(
                    "tensor `{tensor}` is {}, expected {}",
                    info.dtype,
                    FORMAT.dtype()
                )));
            }
            opened.add(file);
        }
        Ok(opened)
    }

    fn add(&mut self, file: SafetensorsFile) {
        let mut tensors: Vec<_> = file.tensors().iter().collect();
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        self.names.extend(tensors.into_iter().map(|(name, _)| name.clone()));
        self.files.push(file);
    }

    /// Names of the tensors in the order in which they were written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// One tensor with its numbers; `None` if there is none of that name.
    pub(super) fn read(
        &self,
        folder: &Path,
        name: &str,
    ) -> Result<Option<NamedTensor>, CheckpointError> {
        let Some(file) = self.holder(name) else { return Ok(None) };
        let shape = file.tensor(name).map_err(|error| changed(folder, file, &error))?.shape.clone();
        let mut values = vec![0.0; shape.iter().product()];
        file.read_numbers(name, 0, &mut values).map_err(|error| changed(folder, file, &error))?;
        Ok(Some(NamedTensor { name: name.to_owned(), shape, values }))
    }

    /// Some numbers of one tensor, counted row by row; `None` if there is none of that name.
    pub(super) fn read_range(
        &self,
        folder: &Path,
        name: &str,
        range: Range<usize>,
    ) -> Result<Option<Vec<f32>>, CheckpointError> {
        let Some(file) = self.holder(name) else { return Ok(None) };
        let mut values = vec![0.0; range.len()];
        file.read_numbers(name, range.start, &mut values)
            .map_err(|error| changed(folder, file, &error))?;
        Ok(Some(values))
    }

    fn holder(&self, name: &str) -> Option<&SafetensorsFile> {
        self.files.iter().find(|file| file.tensors().contains_key(name))
    }
}

/// A file that could be opened and can no longer be read.
fn changed(folder: &Path, file: &SafetensorsFile, error: &HubError) -> CheckpointError {
    let file = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    CheckpointError::damaged(folder, Damage::Unreadable { file, reason: error.to_string() })
}

fn is_part(stem: &str, name: &str) -> bool {
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(EXTENSION));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
