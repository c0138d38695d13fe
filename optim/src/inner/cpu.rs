//! AdamW on slices: the arithmetic of one update, in place.

use multiversion::multiversion;
use rayon::prelude::*;

/// Elements that one thread updates at a time. Fixed, so that no result depends on the number of threads; four
/// arrays of it fit a second-level cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// The numbers of one update, the same for every element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    /// `1 - learning_rate * weight_decay`.
    pub(crate) keep: f32,
    /// Factor on the gradient; clipping and averaging over micro-batches are folded into it.
    pub(crate) gradient_scale: f32,
    /// Decay of the first moment.
    pub(crate) beta1: f32,
    /// `1 - beta1`.
    pub(crate) beta1_rest: f32,
    /// Decay of the second moment.
    pub(crate) beta2: f32,
    /// `1 - beta2`.
    pub(crate) beta2_rest: f32,
    /// `learning_rate / (1 - beta1^t)`.
    pub(crate) step_size: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    pub(crate) root_scale: f32,
    /// Keeps the division finite.
    pub(crate) epsilon: f32,
}

/// One parameter, its moments and its gradient, all of one length.
pub(crate) struct Slices<'a> {
    pub(crate) parameter: &'a mut [f32],
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
}

/// Updates all parameters as one parallel pass over equal chunks, so that many small ones cost no more than one large.
pub(crate) fn update_all(slices: Vec<Slices<'_>>, coefficients: Coefficients) {
    let chunks: Vec<Slices<'_>> = slices.into_iter().flat_map(Slices::into_chunks).collect();
    chunks.into_par_iter().for_each(|chunk| {
        update(chunk.parameter, chunk.first, chunk.second, chunk.gradient, coefficients);
    });
}

impl<'a> Slices<'a> {
    fn into_chunks(self) -> impl Iterator<Item = Slices<'a>> {
        let moments = self.first.chunks_mut(CHUNK).zip(self.second.chunks_mut(CHUNK));
        let values = self.parameter.chunks_mut(CHUNK).zip(self.gradient.chunks(CHUNK));
        values.zip(moments).map(|((parameter, gradient), (first, second))| Slices {
            parameter,
            first,
            second,
            gradient,
        })
    }
}

// Plain products and sums instead of `mul_add`: memory is the limit anyway, and so every instruction set gives the same
// bits.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn update(
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    c: Coefficients,
) {
    let moments = first.iter_mut().zip(second.iter_mut());
    for ((p, g), (m, v)) in parameter.iter_mut().zip(gradient).zip(moments) {
        let g = g * c.gradient_scale;
        *m = *m * c.beta1 + g * c.beta1_rest;
        *v = *v * c.beta2 + g * g * c.beta2_rest;
        *p = *p * c.keep - c.step_size * *m / (v.sqrt() * c.root_scale + c.epsilon);
    }
}
