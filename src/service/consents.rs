//! Consents to the health record: recorded once and for all, in force is the newest. They are of a person, by the
//! commitment to the C.F., so that they outlive a card.

mod read;
mod record;

use serde::{Deserialize, Serialize};

pub use read::{ConsentView, PastConsent, Words};
#[cfg(feature = "testing")]
pub(super) use record::Remembered;
pub use record::{ConsentsPreview, ConsentsRequest, Given, RecordedConsent, RecordedConsents};

use super::{Error, Service, records};
use crate::{
    domain::{
        consent::{Choice, ConsentKind},
        id::RequestId,
    },
    store::Space,
};

/// What a person said, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u8,
    choice: Choice,
    /// The words that were read, such as `consultazione/1`.
    text: String,
    /// Who said it: `holder`, or `proxy:` and the title.
    applicant: String,
    /// Milliseconds since 1970 UTC.
    at_ms: u64,
    /// Names the event, and whatever lies beside it.
    request: RequestId,
}

/// All that a person said of one kind begins so.
fn prefix(person: &[u8; 16], kind: &str) -> Vec<u8> {
    [person.as_slice(), kind.as_bytes(), &[0]].concat()
}

/// Key in `Space::Consent` of the record with this number, from 1 up: the newest comes first.
pub(super) fn key(person: &[u8; 16], kind: &ConsentKind, number: u32) -> Vec<u8> {
    [prefix(person, kind.as_str()).as_slice(), &u32::MAX.saturating_sub(number).to_be_bytes()].concat()
}

/// Kind and number of a record by its key; nothing if it is not one.
pub(super) fn read_key(key: &[u8]) -> Option<(ConsentKind, u32)> {
    let (_, rest) = key.split_first_chunk::<16>()?;
    let (kind, number) = rest.split_last_chunk::<4>()?;
    let kind = std::str::from_utf8(kind.strip_suffix(&[0])?).ok()?.parse().ok()?;
    Some((kind, u32::MAX.saturating_sub(u32::from_be_bytes(*number))))
}

impl Service {
    /// The newest records of one kind, the newest first, with their numbers.
    fn newest_consents(
        &self,
        person: &[u8; 16],
        kind: &ConsentKind,
        most: usize,
    ) -> Result<Vec<(u32, Stored)>, Error> {
        let found = self.store.scan(Space::Consent, &prefix(person, kind.as_str()), &[], most)?;
        let read = |found: &crate::store::Found| {
            let (_, number) =
                read_key(&found.key).ok_or_else(|| Error::Bug("a consent's key of another form".into()))?;
            Ok((number, records::read(&found.record)?))
        };
        found.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_has_the_least_key_and_kinds_do_not_meet() {
        let (person, kind) = ([7; 16], "alimentazione".parse().unwrap());
        let longer: ConsentKind = "alimentazione_pregresso".parse().unwrap();
        let keys: Vec<_> = [3, 2, 1].map(|number| key(&person, &kind, number)).into();
        assert!(keys.is_sorted());
        assert_eq!(read_key(&keys[0]), Some((kind, 3)));
        assert!(!key(&person, &longer, 1).starts_with(&prefix(&person, "alimentazione")));
        assert_eq!(read_key(&[0; 3]), None);
    }
}
