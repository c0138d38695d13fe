//! Fields cut off the front of untrusted bytes: nothing is indexed, nothing is allocated.

/// What is left of some bytes that are being decoded.
pub(crate) struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Fields<'bytes> {
    /// All of `bytes`.
    pub(crate) fn of(bytes: &'bytes [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes, or nothing if fewer are left.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A little-endian 16-bit number.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    /// A little-endian 32-bit number.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// A little-endian 64-bit number.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}
