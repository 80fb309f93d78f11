//! The whole log of a store, from its first event to its last.

use crate::{
    domain::audit::Head,
    store::{Reader, Space, logged_event},
};

/// Events read at a time.
const STEP: usize = 1024;

/// Chains every event anew, and answers where the log ends. `passed` hears how many events hold so far.
///
/// # Errors
/// A sentence: an event is missing, not the one that was chained, or cannot be read.
pub(super) fn whole_log(reader: &dyn Reader, mut passed: impl FnMut(u64)) -> Result<Head, String> {
    let mut head = Head::EMPTY;
    loop {
        let from = head.seq.saturating_add(1).to_be_bytes();
        let found = reader.scan(Space::Event, &[], &from, STEP).map_err(|e| e.to_string())?;
        for event in &found {
            let (hash, bytes) = logged_event(&event.record.value).ok_or("an event is damaged")?;
            let next = head.next(bytes).ok_or("an event cannot be chained")?;
            if next.hash != *hash || event.key != next.seq.to_be_bytes() {
                return Err(format!("event {} is not the one that was chained", next.seq));
            }
            head = next;
        }
        passed(head.seq);
        if found.len() < STEP {
            return Ok(head);
        }
    }
}
