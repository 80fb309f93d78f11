//! Fields of stored records: fixed sizes, big-endian, absent ones as zero bytes. Reading never panics.

/// Takes fields off the front of a record.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// The next `N` bytes; nothing if there are fewer.
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// A presence byte and `N` bytes, which are zero when it is 0. The outer `None` is a damaged record.
    pub(super) fn optional<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        let present = self.byte()?;
        let field = self.bytes()?;
        match present {
            0 if field == [0; N] => Some(None),
            1 => Some(Some(field)),
            _ => None,
        }
    }

    /// Whether everything has been read.
    pub(super) const fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes what [`Reader::optional`] reads.
pub(super) fn put_optional<const N: usize>(out: &mut Vec<u8>, field: Option<&[u8; N]>) {
    out.push(u8::from(field.is_some()));
    out.extend_from_slice(field.unwrap_or(&[0; N]));
}
