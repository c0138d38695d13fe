//! Tensors in the pieces in which their owners hold them.
//!
//! A checkpoint is the same whoever holds what: pieces are written one behind the other, and read back in any other cut.
//! So no device and no buffer ever holds more than its own piece, and a run may go on with more devices, or fewer.

use covey_optim::inner::Moments;

use super::snapshot::NamedTensor;

/// The numbers of one tensor, row by row, in one piece or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardedTensor(Vec<Vec<f32>>);

impl ShardedTensor {
    /// The pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Numbers of all pieces.
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
    /// The Hub's name, `model.norm.weight` and the like.
    pub name: String,
    /// Row-major shape of the whole tensor.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: ShardedTensor,
}

impl From<NamedTensor> for SavedTensor {
    fn from(tensor: NamedTensor) -> Self {
        Self { name: tensor.name, shape: tensor.shape, values: tensor.values.into() }
    }
}

/// The optimizer's running means of one weight, in pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedMoments {
    /// Mean of the gradients.
    pub first: ShardedTensor,
    /// Mean of the squared gradients.
    pub second: ShardedTensor,
}

impl From<Moments> for SavedMoments {
    fn from(moments: Moments) -> Self {
        Self { first: moments.first.into(), second: moments.second.into() }
    }
}
