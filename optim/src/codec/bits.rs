//! A sequence of bits, packed into bytes from the lowest bit up.

/// Collects bits into bytes.
#[derive(Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Number of complete bytes.
    whole: usize,
    /// The bits after the complete bytes, and their number, below 8.
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Allocates space for that many values of at most 16 bits.
    pub(crate) fn new(num_values: usize) -> Self {
        // `put` always stores 8 bytes, so the last value needs 8 bytes from its start.
        Self { bytes: vec![0; 2 * num_values + 8], whole: 0, pending: 0, count: 0 }
    }

    /// Appends the lowest `count` bits of `value`, at most 16. Higher bits of `value` must be zero.
    ///
    /// # Panics
    ///
    /// If more values are written than [`BitWriter::new`] allocated space for.
    #[inline(always)]
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += count;
        // Storing the whole word each time needs no branch; the next call overwrites the excess.
        self.bytes[self.whole..][..8].copy_from_slice(&self.pending.to_le_bytes());
        let whole = self.count / 8;
        self.pending >>= 8 * whole;
        self.count -= 8 * whole;
        self.whole += whole as usize;
    }

    /// Returns all bits; the last byte is padded with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.whole + usize::from(self.count > 0));
        self.bytes
    }
}

/// Reads bits in the order in which they were written. Past the end it reads zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0 }
    }

    /// The next `count` bits, at most 16.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let place = self.next >> 3;
        // Reading past the end is not an error here: `is_finished` reports it once per segment, and
        // the inner loop needs no check.
        let word = match self.bytes.get(place..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last_word(place),
        };
        let value = (word >> (self.next & 7)) as u32 & ((1 << count) - 1);
        self.next += count as usize;
        value
    }

    #[cold]
    fn last_word(&self, place: usize) -> u64 {
        let rest = self.bytes.get(place..).unwrap_or_default();
        rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    /// Returns true if exactly all bits were read and the padding is zero.
    pub(crate) fn is_finished(mut self) -> bool {
        let rest = self.next.wrapping_neg() & 7;
        // Nonzero padding would be a second encoding of the same bits.
        self.next.div_ceil(8) == self.bytes.len() && self.take(rest as u32) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_in_the_order_of_writing() {
        let values: Vec<(u32, u32)> =
            (0..100).map(|i| ((i * 2_654_435) & ((1 << (i % 10)) - 1), i % 10)).collect();
        let mut writer = BitWriter::new(values.len());
        values.iter().for_each(|(value, count)| writer.put(*value, *count));
        let mut bytes = writer.finish();
        let read = |bytes: &[u8]| {
            let mut reader = BitReader::new(bytes);
            let same = values.iter().all(|(value, count)| reader.take(*count) == *value);
            (same, reader.is_finished())
        };
        assert_eq!(read(&bytes), (true, true));
        bytes.push(0);
        assert_eq!(read(&bytes), (true, false));
        bytes.pop();
        *bytes.last_mut().unwrap() |= 0x80;
        assert_eq!(read(&bytes), (true, false));
    }
}
