//! The settings of the outer step of a round, which every peer must apply in the same way.

use serde::{Deserialize, Serialize};

use crate::primitives::Fields;

/// The divisor of the sum of values, per coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Divisor {
    /// The number of peers that sent a value for the coordinate.
    Senders = 0,
    /// The number of included peers.
    Peers = 1,
}

/// Clipping of deltas with a large norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Clipping {
    /// No clipping.
    Off = 0,
    /// Clip to the median norm of the included peers, per tensor.
    MedianNorm = 1,
}

/// The settings of a round's outer step, resolved from the schedule for this round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterSettings {
    /// The outer learning rate; finite and not negative.
    pub alpha: f64,
    /// The divisor of the mean.
    pub mean_over: Divisor,
    /// The clipping of peers.
    pub clip: Clipping,
}

impl OuterSettings {
    /// Length on the wire in bytes.
    pub(crate) const LENGTH: usize = 10;

    /// Returns true if peers can apply these settings. Negative zero is invalid: it would be a
    /// second encoding of zero.
    pub fn are_valid(&self) -> bool {
        self.alpha.is_finite() && self.alpha.is_sign_positive()
    }

    /// The canonical encoding, which is part of the lineage.
    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.alpha.to_le_bytes());
        bytes[8] = self.mean_over as u8;
        bytes[9] = self.clip as u8;
        bytes
    }

    /// Parses the canonical encoding. `None` for settings that no peer could apply.
    pub(crate) fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        let alpha = f64::from_le_bytes(fields.take()?);
        let mean_over = match fields.byte()? {
            0 => Divisor::Senders,
            1 => Divisor::Peers,
            _ => return None,
        };
        let clip = match fields.byte()? {
            0 => Clipping::Off,
            1 => Clipping::MedianNorm,
            _ => return None,
        };
        Some(Self { alpha, mean_over, clip }).filter(Self::are_valid)
    }
}
