//! Tensors in the pieces in which devices hold them.
//!
//! The bytes of a checkpoint do not depend on the number of devices: pieces are written in order
//! and can be read back in any other division. No device and no buffer ever holds more than one
//! piece, and a run can continue with more or fewer devices.

use covey_optim::inner::Moments;

use super::snapshot::NamedTensor;

/// The values of one tensor in row-major order, in one or more pieces.
// Pieces are never joined: at 72B parameters a whole copy of an embedding costs gigabytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardedTensor(Vec<Vec<f32>>);

impl ShardedTensor {
    /// The pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Number of values in all pieces.
    pub fn num_elements(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

impl From<Vec<f32>> for ShardedTensor {
    fn from(whole: Vec<f32>) -> Self {
        Self(vec![whole])
    }
}

impl FromIterator<Vec<f32>> for ShardedTensor {
    fn from_iter<I: IntoIterator<Item = Vec<f32>>>(pieces: I) -> Self {
        Self(pieces.into_iter().collect())
    }
}

/// One weight with its name, in pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedTensor {
    /// Name on the Hub, for example `model.norm.weight`.
    pub name: String,
    /// Row-major shape of the whole tensor.
    pub shape: Vec<usize>,
    /// The values.
    pub values: ShardedTensor,
}

impl From<NamedTensor> for SavedTensor {
    fn from(tensor: NamedTensor) -> Self {
        Self { name: tensor.name, shape: tensor.shape, values: tensor.values.into() }
    }
}

/// AdamW's moments of one weight, in pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedMoments {
    /// First moment: moving average of the gradients.
    pub first: ShardedTensor,
    /// Second moment: moving average of the squared gradients.
    pub second: ShardedTensor,
}

impl From<Moments> for SavedMoments {
    fn from(moments: Moments) -> Self {
        Self { first: moments.first.into(), second: moments.second.into() }
    }
}
