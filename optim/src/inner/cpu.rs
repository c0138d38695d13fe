//! One AdamW update on slices, in place.

use multiversion::multiversion;
use rayon::prelude::*;

/// Elements that one thread updates at a time. Four arrays of this length fit into a second-level
/// cache. The constant also fixes the order of the sums in [`clip`](super::clip), so results do not
/// depend on the number of threads.
pub(crate) const CHUNK: usize = 16 * 1024;

/// The coefficients of one update, the same for every element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    /// `1 - learning_rate * weight_decay`.
    pub(crate) keep: f32,
    /// Factor on the gradient: clipping, and the mean over micro-batches.
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
    /// Keeps the quotient finite.
    pub(crate) epsilon: f32,
}

/// One parameter, its moments and its gradient, all of one length.
pub(crate) struct Slices<'a> {
    pub(crate) parameter: &'a mut [f32],
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
}

/// Updates all parameters in one parallel pass over equal chunks.
pub(crate) fn update_all(slices: Vec<Slices<'_>>, coefficients: Coefficients) {
    // A decoder has many norms of a few KiB. One pass over all chunks costs them no separate launch
    // and balances the threads.
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

// Products and sums instead of `mul_add`: memory limits the speed anyway, and every instruction set
// gives the same bits.
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
