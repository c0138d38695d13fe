//! Parts of a decoder block as tensor operations, with their derivatives.
//!
//! The derivatives are written by hand instead of recorded by an autodiff backend: only then is it
//! known which activations are in memory, and which are recomputed.
//!
//! Shape suffixes: r rows, d hidden, b sequences, s tokens, h heads, k kv heads, e head width.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::config::RopeTable;

/// Conversion to fp32, for sums and functions that need more than the 8 bits of bf16.
pub(crate) fn fp32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::F32)
}

/// RMSNorm (arXiv 1910.07467): `x / sqrt(mean(x^2) + epsilon) * weight` over the last axis.
/// Computed in fp32, returned in the dtype of `x`.
pub(crate) fn rms_norm(x_rd: Tensor<2>, weight_d: &Tensor<1>, epsilon: f64) -> Tensor<2> {
    let dtype = x_rd.dtype();
    let x_rd = fp32(x_rd);
    let scale_r1 = inverse_root_mean_square(&x_rd, epsilon);
    (x_rd * scale_r1 * fp32(weight_d.clone()).unsqueeze::<2>()).cast(dtype)
}

fn inverse_root_mean_square(x_rd: &Tensor<2>, epsilon: f64) -> Tensor<2> {
    (x_rd.clone().square().mean_dim(1) + epsilon).sqrt().recip()
}

/// Gradients of [`rms_norm`] with respect to `x`, in its dtype, and to the weight, in fp32.
///
/// With `n = x * scale` and `s = gradient * weight`: the first is `(s - n * mean(s * n)) * scale`,
/// the second the sum of `gradient * n` over rows.
pub(crate) fn rms_norm_backward(
    x_rd: Tensor<2>,
    weight_d: &Tensor<1>,
    epsilon: f64,
    gradient_rd: Tensor<2>,
) -> (Tensor<2>, Tensor<1>) {
    let dtype = x_rd.dtype();
    let (x_rd, gradient_rd) = (fp32(x_rd), fp32(gradient_rd));
    let scale_r1 = inverse_root_mean_square(&x_rd, epsilon);
    let normed_rd = x_rd * scale_r1.clone();
    let weight_gradient_d = (gradient_rd.clone() * normed_rd.clone()).sum_dim(0).squeeze_dim(0);
    let scaled_rd = gradient_rd * fp32(weight_d.clone()).unsqueeze::<2>();
    let shared_r1 = (scaled_rd.clone() * normed_rd.clone()).mean_dim(1);
    (((scaled_rd - normed_rd * shared_r1) * scale_r1).cast(dtype), weight_gradient_d)
}

/// A flat weight as `[out, in]`.
pub(crate) fn weight_matrix(weight: &Tensor<1>, inputs: usize) -> Tensor<2> {
    let outputs = weight.dims()[0] / inputs;
    weight.clone().reshape([outputs, inputs])
}

/// `x * weight^T` for a flat weight `[out, in]`; linear layers of Llama have no bias.
pub(crate) fn linear(x: Tensor<2>, weight: &Tensor<1>) -> Tensor<2> {
    let inputs = x.dims()[1];
    x.matmul(weight_matrix(weight, inputs).transpose())
}

/// Gradient of [`linear`] with respect to `x`.
pub(crate) fn linear_backward(gradient: Tensor<2>, weight: &Tensor<1>, inputs: usize) -> Tensor<2> {
    gradient.matmul(weight_matrix(weight, inputs))
}

/// Adds the gradient of [`linear`] with respect to the weight to `sum`.
pub(crate) fn add_weight_gradient(sum: &mut Tensor<1>, gradient: Tensor<2>, x: Tensor<2>) {
    add(sum, gradient.transpose().matmul(x).reshape([-1]));
}

/// `*sum += value` in fp32, in place if `sum` is the only handle of its tensor.
pub(crate) fn add(sum: &mut Tensor<1>, value: Tensor<1>) {
    sum.inplace(|sum| sum + fp32(value));
}

/// Rotary angles of a range of positions on a device: cosines and sines, `[1, s, 1, e / 2]` each.
pub(crate) struct Angles {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Angles {
    /// The angles of `count` positions from `first` on. `half` is the number of angles per
    /// position.
    pub(crate) fn new(
        table: &RopeTable,
        half: usize,
        first: usize,
        count: usize,
        device: &Device,
    ) -> Self {
        let range = first * half..(first + count) * half;
        let [cos, sin] = [&table.cos, &table.sin].map(|values| {
            let values = TensorData::new(values[range.clone()].to_vec(), [1, count, 1, half]);
            Tensor::from_data(values, device)
        });
        Self { cos, sin }
    }

    /// Rotates the pairs (i, i + e / 2) of each head. Computed in fp32, returned in the dtype of
    /// the input.
    pub(crate) fn rotate(&self, x_bshe: Tensor<4>) -> Tensor<4> {
        self.rotate_by(x_bshe, self.sin.clone())
    }

    /// The inverse of [`Angles::rotate`], which is also its derivative, as rotations are
    /// orthogonal.
    pub(crate) fn rotate_back(&self, x_bshe: Tensor<4>) -> Tensor<4> {
        self.rotate_by(x_bshe, self.sin.clone().neg())
    }

    fn rotate_by(&self, x_bshe: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
        let (half, dtype) = (x_bshe.dims()[3] / 2, x_bshe.dtype());
        let x_bshe = fp32(x_bshe);
        let low = x_bshe.clone().narrow(3, 0, half);
        let high = x_bshe.narrow(3, half, half);
        let rotated_low = low.clone() * self.cos.clone() - high.clone() * sin.clone();
        let rotated_high = high * self.cos.clone() + low * sin;
        Tensor::cat(vec![rotated_low, rotated_high], 3).cast(dtype)
    }
}

/// Repeats each key or value head for all query heads of its group: `[b, k, s, e]` to
/// `[b, h, s, e]`.
pub(crate) fn repeat_heads(x_bkse: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, heads, length, width] = x_bkse.dims();
    x_bkse
        .reshape([batch, heads, 1, length, width])
        .expand([batch, heads, group, length, width])
        .reshape([batch, heads * group, length, width])
}

/// Gradient of [`repeat_heads`]: the sum over the query heads of each group.
pub(crate) fn sum_heads(x_bhse: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, heads, length, width] = x_bhse.dims();
    x_bhse.reshape([batch, heads / group, group, length, width]).sum_dim(2).reshape([
        batch,
        heads / group,
        length,
        width,
    ])
}
