//! How the deltas of a round become one step: the settings that every peer must apply alike.

use serde::{Deserialize, Serialize};

use crate::primitives::Fields;

/// By what the sum of the senders' values is divided, coordinate by coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum MeanOver {
    /// By the number of peers that sent a value for the coordinate.
    Senders = 0,
    /// By the number of peers in the round.
    Peers = 1,
}

/// How a loud peer is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Clip {
    /// Not at all.
    Off = 0,
    /// To the median of the peers' norms, per tensor.
    MedianNorm = 1,
}

/// Settings of a round's outer step, resolved: what a schedule gave for this round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterSettings {
    /// The outer learning rate; finite and not negative.
    pub alpha: f64,
    /// The divisor of the mean.
    pub mean_over: MeanOver,
    /// The clipping of peers.
    pub clip: Clip,
}

impl OuterSettings {
    /// Length on the wire.
    pub(crate) const LENGTH: usize = 10;

    /// Whether peers can apply these; negative zero is left out, because it is a second name of zero.
    pub fn are_valid(&self) -> bool {
        self.alpha.is_finite() && self.alpha.is_sign_positive()
    }

    /// The canonical encoding, which lineages are computed from.
    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.alpha.to_le_bytes());
        bytes[8] = self.mean_over as u8;
        bytes[9] = self.clip as u8;
        bytes
    }

    /// Reads the encoding back; nothing for settings that no peer could apply.
    pub(crate) fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        let alpha = f64::from_le_bytes(fields.take()?);
        let mean_over = match fields.byte()? {
            0 => MeanOver::Senders,
            1 => MeanOver::Peers,
            _ => return None,
        };
        let clip = match fields.byte()? {
            0 => Clip::Off,
            1 => Clip::MedianNorm,
            _ => return None,
        };
        Some(Self { alpha, mean_over, clip }).filter(Self::are_valid)
    }
}
