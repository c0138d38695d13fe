//! The safetensors files of a checkpoint: written in shards, read one tensor at a time.

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

/// Part of the name of every tensor file and of its index.
pub(super) const EXTENSION: &str = ".safetensors";

// Master weights and moments are fp32 in every precision of training; anything less would change
// the losses after a resume.
const FORMAT: FloatDtype = FloatDtype::Fp32;

/// A tensor to be written, borrowed from a snapshot.
pub(super) struct TensorSource<'a> {
    name: Cow<'a, str>,
    shape: &'a [usize],
    /// In order.
    pieces: Vec<&'a [f32]>,
}

impl<'a> TensorSource<'a> {
    /// The tensor `name`, with its values in `pieces`.
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

/// Writes `tensors` in order to `<stem>.safetensors`, or to numbered files with an index, as on the
/// Hub, if they exceed `max_bytes`.
pub(super) fn write_tensors(
    disk: &dyn Disk,
    folder: &Path,
    stem: &str,
    tensors: &[TensorSource],
    max_bytes: u64,
) -> Result<Vec<FileEntry>, CheckpointError> {
    let shards = split(tensors, max_bytes);
    // `transformers` looks for the plain name first, so one shard must not have a number.
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

/// Splits the list into shards of at most `max_bytes`; a larger tensor gets a separate shard.
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
    let entries = names.iter().zip(shards).flat_map(|(name, shard)| {
        shard.iter().map(|tensor| (tensor.name.to_string(), serde_json::Value::from(name.as_str())))
    });
    let map: serde_json::Map<_, _> = entries.collect();
    let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": map });
    serde_json::to_string_pretty(&index).expect("strings and numbers always have a JSON form")
}

fn write_file(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    tensors: &[TensorSource],
) -> Result<FileEntry, CheckpointError> {
    // `transformers` rejects files without the name of the framework that wrote the tensors.
    let notes = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let headers: Vec<_> = tensors.iter().map(TensorSource::header).collect();
    let mut file = HashedFile::create(disk, folder, name)?;
    write_safetensors(&mut file, &notes, &headers, |index, sink| {
        tensors[index].pieces.iter().try_for_each(|piece| FORMAT.write(piece, sink))
    })
    .map_err(|source| CheckpointError::io("write", &folder.join(name), source))?;
    file.finish()
}

/// The open files of one stem, with the names of their tensors.
#[derive(Clone, Debug)]
pub(super) struct TensorFiles {
    files: Vec<SafetensorsFile>,
    /// In the order of writing.
    names: Vec<String>,
}

impl TensorFiles {
    /// Opens the files of `stem` among the `files` of the manifest in `folder`.
    pub(super) fn open(
        folder: &Path,
        stem: &str,
        files: &[FileEntry],
    ) -> Result<Self, CheckpointError> {
        let mut opened = Self { files: Vec::new(), names: Vec::new() };
        for FileEntry { name, .. } in files.iter().filter(|file| is_part(stem, &file.name)) {
            opened.add(open_file(&folder.join(name)).map_err(|reason| {
                CheckpointError::damaged(folder, Damage::Unreadable { file: name.clone(), reason })
            })?);
        }
        Ok(opened)
    }

    fn add(&mut self, file: SafetensorsFile) {
        // Offsets give the order of writing: the header of a safetensors file is an unordered map.
        let mut tensors: Vec<_> = file.tensors().iter().collect();
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        self.names.extend(tensors.into_iter().map(|(name, _)| name.clone()));
        self.files.push(file);
    }

    /// Names of the tensors in the order of writing.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Reads the tensor `name`; `None` if there is no such tensor.
    pub(super) fn read(
        &self,
        folder: &Path,
        name: &str,
    ) -> Result<Option<NamedTensor>, CheckpointError> {
        let Some(file) = self.file_with(name) else { return Ok(None) };
        let shape = file.tensor(name).map_err(|error| changed(folder, file, &error))?.shape.clone();
        let mut values = vec![0.0; shape.iter().product()];
        file.read_numbers(name, 0, &mut values).map_err(|error| changed(folder, file, &error))?;
        Ok(Some(NamedTensor { name: name.to_owned(), shape, values }))
    }

    /// Reads the values in `range`, in row-major order, of the tensor `name`; `None` if there is no
    /// such tensor.
    pub(super) fn read_range(
        &self,
        folder: &Path,
        name: &str,
        range: Range<usize>,
    ) -> Result<Option<Vec<f32>>, CheckpointError> {
        let Some(file) = self.file_with(name) else { return Ok(None) };
        let mut values = vec![0.0; range.len()];
        file.read_numbers(name, range.start, &mut values)
            .map_err(|error| changed(folder, file, &error))?;
        Ok(Some(values))
    }

    fn file_with(&self, name: &str) -> Option<&SafetensorsFile> {
        self.files.iter().find(|file| file.tensors().contains_key(name))
    }
}

/// The error for a file that was readable when the checkpoint was opened.
fn changed(folder: &Path, file: &SafetensorsFile, error: &HubError) -> CheckpointError {
    let file = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    CheckpointError::damaged(folder, Damage::Unreadable { file, reason: error.to_string() })
}

/// Opens a file of fp32 tensors; the error is the reason for a [`Damage::Unreadable`].
fn open_file(path: &Path) -> Result<SafetensorsFile, String> {
    let file = SafetensorsFile::open(path).map_err(|error| error.to_string())?;
    match file.tensors().iter().find(|(_, info)| info.dtype != FORMAT.dtype()) {
        Some((tensor, info)) => {
            Err(format!("tensor `{tensor}` is {}, expected {}", info.dtype, FORMAT.dtype()))
        }
        None => Ok(file),
    }
}

/// Returns true for `<stem>.safetensors` and `<stem>-00001-of-00002.safetensors`.
fn is_part(stem: &str, name: &str) -> bool {
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(EXTENSION));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
