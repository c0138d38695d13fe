//! Losses that may still be in computation on a device.

use burn::tensor::Tensor;

/// The losses of a micro-batch in nats, one per target.
///
/// To read a number, the host waits until the device has computed it. The backward pass does not
/// need the number, so callers first queue all work, on all devices, and then call [`Losses::sum`].
#[derive(Debug)]
pub enum Losses {
    /// The sum, computed on the host.
    Sum(f64),
    /// Parts of the losses on a device, one fp32 number per target.
    Pending(Vec<Tensor<1>>),
}

impl Losses {
    /// The sum in f64, in the order of the targets. Waits for the device.
    pub fn sum(self) -> f64 {
        match self {
            Self::Sum(sum) => sum,
            Self::Pending(parts) => {
                // Joined on the device: one transfer instead of one per part.
                let losses = Tensor::cat(parts, 0).into_data().convert::<f32>();
                let losses = losses.try_into_vec::<f32>().expect("losses were converted to fp32");
                losses.into_iter().map(f64::from).sum()
            }
        }
    }
}
