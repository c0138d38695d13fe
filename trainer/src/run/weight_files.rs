//! The shared weights as objects of the bucket: safetensors files of limited size, with the names
//! that the Hugging Face Hub uses.

use std::collections::BTreeMap;

use bytes::Bytes;
use covey_model::config::ModelConfig;
use covey_model::hub::{FloatDtype, TensorHeader, write_safetensors};
use safetensors::SafeTensors;

use crate::system::error::{Context, Failure, Result};
use crate::training::checkpoint::NamedTensor;

/// Largest size of a part in bytes, unless a single tensor is larger. Every store accepts 256 MiB
/// in one request.
const PART_BYTES: usize = 256 << 20;

// fp32 keeps every bit: readers check the digest of the weights after the download.
const FORMAT: FloatDtype = FloatDtype::Fp32;

/// Returns the weights as files, each with its name.
///
/// # Errors
/// Errors of the safetensors format.
pub(super) fn to_parts(weights: &[&NamedTensor]) -> Result<Vec<(String, Bytes)>> {
    let groups = grouped(weights);
    let total = groups.len();
    let parts = groups.iter().enumerate();
    parts.map(|(index, group)| Ok((part_name(index, total), file(group)?))).collect()
}

/// The names of `transformers`, so a checkpoint in the bucket can be loaded without Covey.
fn part_name(index: usize, total: usize) -> String {
    if total == 1 {
        return "model.safetensors".to_owned();
    }
    format!("model-{:05}-of-{total:05}.safetensors", index + 1)
}

/// Groups consecutive tensors into parts of at most [`PART_BYTES`].
fn grouped<'a>(weights: &[&'a NamedTensor]) -> Vec<Vec<&'a NamedTensor>> {
    let mut groups: Vec<Vec<&NamedTensor>> = Vec::new();
    // Full at the start, so the first tensor opens a group.
    let mut bytes = usize::MAX;
    for tensor in weights {
        let length = 4 * tensor.values.len();
        if bytes.saturating_add(length) > PART_BYTES {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        groups.last_mut().expect("the first tensor opens a group").push(tensor);
    }
    groups
}

fn file(tensors: &[&NamedTensor]) -> Result<Bytes> {
    // `transformers` refuses files without this entry.
    let notes = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let headers: Vec<_> = tensors
        .iter()
        .map(|tensor: &&NamedTensor| TensorHeader {
            name: tensor.name.clone(),
            dtype: FORMAT.dtype(),
            shape: tensor.shape.clone(),
        })
        .collect();
    let mut file = Vec::new();
    write_safetensors(&mut file, &notes, &headers, |index, sink| {
        FORMAT.write(&tensors[index].values, sink)
    })?;
    Ok(file.into())
}

/// Reads the weights of `model` from such files, in canonical order.
///
/// # Errors
/// Bytes that are not safetensors, and tensors that are missing or have another type or shape.
pub(super) fn from_parts(model: &ModelConfig, parts: &[Bytes]) -> Result<Vec<NamedTensor>> {
    let files =
        parts.iter().map(|bytes| SafeTensors::deserialize(bytes)).collect::<Result<Vec<_>, _>>()?;
    model.parameters().iter().map(|spec| tensor(&files, &spec.name, &spec.shape)).collect()
}

fn tensor(files: &[SafeTensors<'_>], name: &str, shape: &[usize]) -> Result<NamedTensor> {
    // There is no index of tensors: the headers are in memory, and the parts are few.
    let tensor = files.iter().find_map(|file| file.tensor(name).ok());
    let tensor = tensor.with_context(|| format!("the checkpoint has no tensor {name}"))?;
    let is_fitting = tensor.dtype() == safetensors::Dtype::F32 && tensor.shape() == shape;
    if !is_fitting {
        return Err(Failure::new(format!(
            "tensor {name} of the checkpoint is {:?} of shape {:?}, \
         expected F32 of shape {shape:?}",
            tensor.dtype(),
            tensor.shape()
        )));
    }
    let values =
        tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(NamedTensor { name: name.to_owned(), shape: shape.to_vec(), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_a_round_trip_through_parts() {
        let model = covey_model::config::preset("tiny").unwrap();
        let initializer = covey_model::init::Initializer::new(1, &model);
        let weights: Vec<_> = model
            .parameters()
            .iter()
            .map(|spec: &covey_model::config::ParameterSpec| NamedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: initializer.tensor(spec),
            })
            .collect();
        let parts = to_parts(&weights.iter().collect::<Vec<_>>()).unwrap();
        let bytes: Vec<_> = parts.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(from_parts(&model, &bytes).unwrap(), weights);
        assert!(from_parts(&model, &[]).unwrap_err().to_string().contains("no tensor"));
    }
}
