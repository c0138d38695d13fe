//! Losses that a device may still be computing.

use burn::tensor::Tensor;

/// The losses of a micro-batch in nats, one per target.
///
/// Reading a number back makes the host wait for the device. So whoever runs several members, or a backward pass that needs
/// no loss, first hands out all the work and reads afterwards.
#[derive(Debug)]
pub enum Losses {
    /// Their sum, computed on the host.
    Sum(f64),
    /// One fp32 number per target, in parts, on a device.
    Pending(Vec<Tensor<1>>),
}

impl Losses {
    /// The sum, in double precision and in the order of the targets; waits for the device if it must.
    pub fn sum(self) -> f64 {
        match self {
            Self::Sum(sum) => sum,
            Self::Pending(parts) => {
                let losses = Tensor::cat(parts, 0).into_data().convert::<f32>();
                let losses = losses.try_into_vec::<f32>().expect("losses were converted to fp32");
                losses.into_iter().map(f64::from).sum()
            }
        }
    }
}
