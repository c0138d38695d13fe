//! Reads a payload from the front, never beyond its end.

use super::error::DecodeError;

/// The bytes that have not been read yet.
pub(crate) struct ByteReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns an error if bytes remain.
    pub(crate) fn check_end(&self) -> Result<(), DecodeError> {
        // Trailing bytes would make a second encoding of the same delta.
        match self.bytes.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }

    /// Returns the next `count` bytes; `what` names the part of the payload in errors.
    pub(crate) fn take(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or(DecodeError::Truncated { what })?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (taken, rest) =
            self.bytes.split_first_chunk().ok_or(DecodeError::Truncated { what })?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn float(&mut self) -> Result<f32, DecodeError> {
        self.array("records").map(f32::from_le_bytes)
    }

    /// Reads a bfloat16 number.
    pub(crate) fn short_float(&mut self) -> Result<f32, DecodeError> {
        self.array("records")
            .map(|bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))
    }
}
