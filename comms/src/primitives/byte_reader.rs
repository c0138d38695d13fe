//! Fields read from the front of untrusted bytes.
//!
//! A reader indexes nothing and allocates nothing, so no input can make it panic or exhaust memory.

/// The rest of some bytes that are being decoded.
pub(crate) struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Fields<'bytes> {
    /// A reader at the start of `bytes`.
    pub(crate) fn of(bytes: &'bytes [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes, or `None` if fewer are left.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        // If this fails, `self` stays as it is; the caller gives up on the whole object anyway.
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

    /// Number of bytes left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}
