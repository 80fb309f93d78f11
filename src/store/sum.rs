//! A sum over all records, whatever their order: a record that was lost, changed or added behind the program's back changes it.
//!
//! It finds damage, not forgery: whoever writes the store can write the sum too, and is as strong as `serve` without its HSM.

use aws_lc_rs::digest;

/// Sum of the shares of all records, modulo 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u128);

impl Sum {
    /// The sum of no records.
    pub(super) const EMPTY: Self = Self(0);

    /// The sum after a record has taken the place of another; nothing is no record.
    #[must_use]
    pub(super) fn replace(self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Self {
        let share_of = |value: Option<&[u8]>| value.map_or(0, |value| share(key, value));
        Self(self.0.wrapping_sub(share_of(old)).wrapping_add(share_of(new)))
    }

    /// Both together: of two sets of records, or of records and a change of them.
    #[must_use]
    pub(super) const fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// As it is stored.
    pub(super) const fn encode(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads one; nothing if it is not one.
    pub(super) fn decode(stored: &[u8]) -> Option<Self> {
        stored.try_into().ok().map(u128::from_be_bytes).map(Self)
    }
}

/// What one record adds: the first 16 bytes of SHA-256 over the length of its stored key (8 bytes), the key and the stored value.
/// That many are beyond chance, and nobody who chooses records is to be kept from choosing two that add up.
fn share(key: &[u8], value: &[u8]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(key);
    context.update(value);
    let digest = context.finish();
    u128::from_be_bytes(digest.as_ref().first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"ab", b""), (b"", b"ab"), (b"a", b"b")];

    fn of(records: &[(&[u8], &[u8])]) -> Sum {
        records.iter().fold(Sum::EMPTY, |sum, (key, value)| sum.replace(key, None, Some(value)))
    }

    #[test]
    fn it_is_what_its_words_say() {
        let digest = digest::digest(&digest::SHA256, b"\0\0\0\0\0\0\0\x02keV");
        assert_eq!(of(&[(b"ke", b"V")]).encode(), digest.as_ref()[..16]);
        assert_eq!(Sum::decode(&of(&RECORDS).encode()), Some(of(&RECORDS)));
        assert_eq!((Sum::decode(&[0; 15]), Sum::decode(&[0; 17])), (None, None));
    }

    #[test]
    fn the_order_is_nothing_and_every_record_something() {
        let mut backwards = RECORDS;
        backwards.reverse();
        assert_eq!(of(&RECORDS), of(&backwards));
        for (index, (key, value)) in RECORDS.iter().enumerate() {
            let rest: Vec<_> =
                RECORDS.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, r)| *r).collect();
            assert_ne!(of(&RECORDS), of(&rest));
            assert_eq!(of(&RECORDS).replace(key, Some(value), None), of(&rest));
        }
        // The same bytes, cut elsewhere, and the same record twice.
        assert_ne!(of(&[(b"ab", b"c")]), of(&[(b"a", b"bc")]));
        assert_ne!(of(&[(b"a", b"1"), (b"a", b"1")]), Sum::EMPTY);
    }

    #[test]
    fn a_change_and_its_reverse_are_none() {
        let sum = of(&RECORDS);
        let changed = sum.replace(b"ab", Some(b""), Some(b"x"));
        assert_ne!(changed, sum);
        assert_eq!(changed.replace(b"ab", Some(b"x"), Some(b"")), sum);
        assert_eq!(sum.replace(b"none", None, None), sum);
        // A change can be told by itself.
        let change = Sum::EMPTY.replace(b"ab", Some(b""), Some(b"x"));
        assert_eq!(sum.plus(change), changed);
    }
}
