//! The pieces of a decoder block as plain tensor operations, and their derivatives.
//!
//! Shape suffixes: r rows, d hidden, b sequences, s tokens, h heads, k kv heads, e head width.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::config::RopeTable;

/// In fp32, for sums and functions that bf16 is too coarse for.
pub(crate) fn fp32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::F32)
}

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last axis, in fp32 inside and in the dtype of `x` outside.
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

/// `x * weight^T` for a flat weight `[out, in]`.
pub(crate) fn linear(x: Tensor<2>, weight: &Tensor<1>) -> Tensor<2> {
    let inputs = x.dims()[1];
    x.matmul(weight_matrix(weight, inputs).transpose())
}

/// The input's gradient of [`linear`].
pub(crate) fn linear_backward(gradient: Tensor<2>, weight: &Tensor<1>, inputs: usize) -> Tensor<2> {
    gradient.matmul(weight_matrix(weight, inputs))
}

/// Adds the weight's gradient of [`linear`] to `sum`.
pub(crate) fn add_weight_gradient(sum: &mut Tensor<1>, gradient: Tensor<2>, x: Tensor<2>) {
    add(sum, gradient.transpose().matmul(x).reshape([-1]));
}

/// `*sum += value` in fp32, in place if nobody else holds the sum.
pub(crate) fn add(sum: &mut Tensor<1>, value: Tensor<1>) {
    sum.inplace(|sum| sum + fp32(value));
}

/// Rotary angles of some positions on a device: cosines and sines `[1, s, 1, e / 2]`.
pub(crate) struct Angles {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Angles {
    /// `count` positions from `first` on, of a table with `half` angles per position.
    pub(crate) fn new(
        table: &RopeTable,
        half: usize,
        first: usize,
        count: usize,
        device: &Device,
    ) -> Self {
        let range = first * half..(first + count) * half;
        let on_device = |values: &[f32]| {
            Tensor::from_data(
                TensorData::new(values[range.clone()].to_vec(), [1, count, 1, half]),
                device,
            )
        };
        Self { cos: on_device(&table.cos), sin: on_device(&table.sin) }
    }

    /// Turns the pairs (i, i + e / 2) of every head, in fp32 whatever the dtype.
    pub(crate) fn rotate(&self, x_bshe: Tensor<4>) -> Tensor<4> {
        self.turn(x_bshe, self.sin.clone())
    }

    /// Turns them back: also the gradient of [`Angles::rotate`].
    pub(crate) fn rotate_back(&self, x_bshe: Tensor<4>) -> Tensor<4> {
        self.turn(x_bshe, self.sin.clone().neg())
    }

    fn turn(&self, x_bshe: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
        let (half, dtype) = (x_bshe.dims()[3] / 2, x_bshe.dtype());
        let x_bshe = fp32(x_bshe);
        let low = x_bshe.clone().narrow(3, 0, half);
        let high = x_bshe.narrow(3, half, half);
        let turned_low = low.clone() * self.cos.clone() - high.clone() * sin.clone();
        let turned_high = high * self.cos.clone() + low * sin;
        Tensor::cat(vec![turned_low, turned_high], 3).cast(dtype)
    }
}

/// Every key or value head once per query head of its group: `[b, k, s, e]` to `[b, h, s, e]`.
pub(crate) fn repeat_heads(x_bkse: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, heads, length, width] = x_bkse.dims();
    x_bkse
        .reshape([batch, heads, 1, length, width])
        .expand([batch, heads, group, length, width])
        .reshape([batch, heads * group, length, width])
}

/// The gradient of [`repeat_heads`].
pub(crate) fn sum_heads(x_bhse: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, heads, length, width] = x_bhse.dims();
    x_bhse.reshape([batch, heads / group, group, length, width]).sum_dim(2).reshape([
        batch,
        heads / group,
        length,
        width,
    ])
}
