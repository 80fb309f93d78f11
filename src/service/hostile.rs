//! Records of the store as the service reads them, for fuzz targets (`fuzz/`): what is read is written so that it is read again.

use serde_json::Value;

use super::{
    ContactChanged, Receipt, Resent, SignedApproval, SignedRegistration, Stocked, Unlocked, Verification,
    approvals::Opened,
    audit,
    consents::{Remembered as RememberedConsents, Stored, key, read_key},
    hand_out, idempotency,
    records::{Delivery, Perishable, Verified, due_key, read_due_key},
    registry::{OpenRegistration, OperatorCard},
    revoke,
};
use crate::domain::{
    approval::Approval,
    counts::{self, Cell, Grain},
    hostile::one_form,
    logged::Logged,
};

type Check = fn(&[u8]) -> Result<(), String>;

/// Every record that is JSON, and every answer that is remembered for a repeated request.
const JSON: [(&str, Check); 17] = [
    ("approval", one_form::<Approval>),
    ("consent", one_form::<Stored>),
    ("delivery", one_form::<Delivery>),
    ("idempotency key", one_form::<idempotency::Record<Value>>),
    ("open registration", one_form::<OpenRegistration>),
    ("operator's card", one_form::<OperatorCard>),
    ("remembered approval", one_form::<Opened>),
    ("remembered consents", one_form::<RememberedConsents>),
    ("remembered contact", one_form::<ContactChanged>),
    ("remembered hand-out", one_form::<hand_out::Remembered>),
    ("remembered reader", one_form::<Receipt>),
    ("remembered resend", one_form::<Resent>),
    ("remembered revocation", one_form::<revoke::Remembered>),
    ("remembered signatures", |bytes| {
        one_form::<SignedApproval>(bytes).and_then(|()| one_form::<SignedRegistration>(bytes))
    }),
    ("remembered stock", one_form::<Stocked>),
    ("remembered unlock", one_form::<Unlocked>),
    ("verification", |bytes| one_form::<Verified>(bytes).and_then(|()| one_form::<Verification>(bytes))),
];

/// Reads these bytes as every record and as every key.
///
/// # Errors
/// A sentence about what is read and is not the same once it is written.
pub fn records(bytes: &[u8]) -> Result<(), String> {
    for (name, check) in JSON {
        check(bytes).map_err(|why| format!("{name}: {why}"))?;
    }
    if let Some((at_ms, id)) = read_due_key(bytes)
        && due_key(at_ms, &id) != bytes
    {
        return Err("a key of what is due".to_owned());
    }
    if let (Some((kind, number)), Some((person, _))) = (read_key(bytes), bytes.split_first_chunk::<16>())
        && key(person, &kind, number) != bytes
    {
        return Err("a key of a consent".to_owned());
    }
    let _ = Perishable::read(bytes);
    drop((Cell::read(Grain::Day, bytes), Cell::read(Grain::Hour, bytes), counts::event_of(bytes)));
    if let Some(count) = counts::read_count(bytes)
        && counts::read_count(&counts::write_count(count)) != Some(count)
    {
        return Err("a count".to_owned());
    }
    if let Ok((_hash, event)) = audit::parse_stored(bytes)
        && let Ok(event) = Logged::read(event)
    {
        // An event that is read can be counted, whatever it says; its keys are of a bounded length, and read again.
        let mut added = counts::Added::default();
        added.add(1, &event);
        for key in added.counts.keys() {
            let grain = if key.starts_with(b"d") { Grain::Day } else { Grain::Hour };
            if key.len() > crate::store::KEY_MAX || Cell::read(grain, key).is_none() {
                return Err("a key of a count".to_owned());
            }
        }
    }
    Ok(())
}
