//! The record of one tensor in a payload: gap model, code model and levels.

use super::byte_reader::ByteReader;
use super::code_model::CodeModel;
use super::error::DecodeError;
use crate::sparseloco::quantizer::{is_two_level, two_levels};
use crate::sparseloco::{LEVEL_LIMIT, Profile, TensorSpec};

/// The probabilities and the levels of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) gap_model: u8,
    pub(crate) codes: CodeModel,
    pub(crate) levels: [f32; 4],
}

impl Record {
    /// Appends the bytes that [`Record::read`] reads.
    pub(crate) fn write(&self, profile: Profile, bytes: &mut Vec<u8>) {
        bytes.push(self.gap_model);
        self.codes.write(profile, bytes);
        match profile {
            Profile::Reference => {
                bytes.extend(self.levels.iter().flat_map(|level| level.to_le_bytes()))
            }
            Profile::Covey => {
                // Levels of `covey` are bfloat16 numbers: the lower half of their bits is zero, and
                // the negative levels follow from the positive ones.
                let halves = self.levels[..2].iter().map(|level| (level.to_bits() >> 16) as u16);
                bytes.extend(halves.flat_map(u16::to_le_bytes));
            }
        }
    }

    /// Reads and checks the record of a tensor.
    pub(crate) fn read(
        profile: Profile,
        bytes: &[u8],
        spec: &TensorSpec,
    ) -> Result<Self, DecodeError> {
        let mut rest = ByteReader::new(bytes);
        let [gap_model] = rest.array("records")?;
        if gap_model >= 16 {
            return Err(DecodeError::Model { what: "gap model", tensor: spec.name().to_owned() });
        }
        let codes = CodeModel::read(profile, rest.take(CodeModel::num_bytes(profile), "records")?)
            .ok_or_else(|| DecodeError::Model {
                what: "code model",
                tensor: spec.name().to_owned(),
            })?;
        let levels = match profile {
            Profile::Reference => [rest.float()?, rest.float()?, rest.float()?, rest.float()?],
            Profile::Covey => two_levels(rest.short_float()?, rest.short_float()?),
        };
        // Checked here because `Delta::trusted` does not check levels again.
        if !levels_are_sound(profile, levels) {
            return Err(DecodeError::Levels { tensor: spec.name().to_owned() });
        }
        Ok(Self { gap_model, codes, levels })
    }
}

fn levels_are_sound(profile: Profile, levels: [f32; 4]) -> bool {
    match profile {
        Profile::Reference => levels.iter().all(|level| level.abs() <= LEVEL_LIMIT),
        Profile::Covey => is_two_level(levels),
    }
}

/// The number of bytes of a record.
pub(crate) fn record_bytes(profile: Profile) -> usize {
    let levels = if profile == Profile::Covey { 4 } else { 16 };
    1 + CodeModel::num_bytes(profile) + levels
}
