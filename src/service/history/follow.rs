//! What follows the log: events by card and counts ([`crate::domain::counts`]), made by one consumer with a cursor.
//!
//! A request does not write them: what a verification commits must say nothing of the card (I6), and counts of all operators
//! together would be one record that all requests change. Entries, counts and cursor are one commit, so that no event is
//! counted twice, whatever ends the process in between.

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    domain::{
        counts::{Added, read_count, write_count},
        logged::Logged,
    },
    service::{Error, Service, audit},
    store::{Expect, Op, Space, UNIT_MAX, Unit},
};

/// One at a time follows the log.
pub(in crate::service) type Follower = Mutex<()>;

const CURSOR: &[u8] = b"history";
/// Form of entries and counts. With another one in the store they are made again, from the first event on.
const FORMAT: u8 = 1;
/// No form: what is there is being removed.
const NONE: u8 = 0;
/// Events of one commit: the cursor and [`Added::KEYS_PER_EVENT`] keys for each fit a unit.
const STEP: usize = 256;
const _: () = assert!(STEP * Added::KEYS_PER_EVENT < UNIT_MAX, "a step fits a unit");
/// Entries removed in one commit.
const REMOVED: usize = 1000;
/// More events than these behind, and a request does not wait for them.
const BEHIND_MAX: u64 = 50_000;

/// Where the consumer stands.
enum At {
    /// After this event.
    Event { seq: u64, expect: Expect },
    /// At entries of another form, which go first; whether the cursor says so.
    Other { marked: bool, expect: Expect },
}

impl Service {
    /// How many events the entries and counts are behind the log; all of them while they are made again.
    pub fn behind_log(&self) -> Result<u64, Error> {
        let head = self.store.head().seq;
        Ok(match self.at()? {
            At::Event { seq, .. } => head.saturating_sub(seq),
            At::Other { .. } => head,
        })
    }

    /// Follows the log for some steps; answers whether there may be more to do.
    pub async fn follow_log(&self, steps: usize) -> Result<bool, Error> {
        let _one_at_a_time = self.follower.lock().await;
        for _ in 0..steps {
            if !self.follow_step().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until entries and counts hold everything up to event `until`, and keeps them as they are while the guard is held.
    pub(in crate::service) async fn followed(&self, until: u64) -> Result<MutexGuard<'_, ()>, Error> {
        if self.behind_log()? > BEHIND_MAX {
            return Err(Error::Unavailable("histories and reports are still being made from the log".into()));
        }
        let guard = self.follower.lock().await;
        while !matches!(self.at()?, At::Event { seq, .. } if seq >= until) {
            if !self.follow_step().await? {
                break;
            }
        }
        Ok(guard)
    }

    /// The last event that entries and counts hold.
    pub(in crate::service) fn followed_up_to(&self) -> Result<u64, Error> {
        match self.at()? {
            At::Event { seq, .. } => Ok(seq),
            At::Other { .. } => Err(Error::Bug("entries of another form were waited for".into())),
        }
    }

    fn at(&self) -> Result<At, Error> {
        let Some(found) = self.store.get(Space::Cursor, CURSOR)? else {
            // Never followed: there is nothing to remove, unless somebody put it there.
            return Ok(At::Other { marked: false, expect: Expect::Absent });
        };
        let expect = Expect::Version(found.version);
        let form = found.value.split_first().and_then(|(form, seq)| Some((*form, seq.try_into().ok()?)));
        Ok(match form.map(|(form, seq)| (form, u64::from_be_bytes(seq))) {
            Some((FORMAT, seq)) if seq <= self.store.head().seq => At::Event { seq, expect },
            Some((form, _)) => At::Other { marked: form == NONE, expect },
            None => At::Other { marked: false, expect },
        })
    }

    /// One commit; answers whether there may be more to do.
    async fn follow_step(&self) -> Result<bool, Error> {
        match self.at()? {
            At::Event { seq, expect } => self.follow_events(seq, expect).await,
            At::Other { marked, expect } => self.remove_others(marked, expect).await,
        }
    }

    /// Says first that what is there counts no more: an older program, which knows its form, must not go on with a part of it.
    async fn remove_others(&self, marked: bool, expect: Expect) -> Result<bool, Error> {
        let mut unit = Unit::default();
        if marked {
            let found = self.store.scan(Space::History, &[], &[], REMOVED)?;
            let form = if found.len() < REMOVED { FORMAT } else { NONE };
            unit.ops.push(cursor(form, 0, expect));
            for entry in found {
                unit.ops.push(Op::Delete { space: Space::History, key: entry.key, expect: Expect::Any });
            }
        } else {
            unit.ops.push(cursor(NONE, 0, expect));
        }
        self.followed_by(unit).await?;
        Ok(true)
    }

    async fn follow_events(&self, seq: u64, expect: Expect) -> Result<bool, Error> {
        let from = seq.saturating_add(1).to_be_bytes();
        let events = self.store.scan(Space::Event, &[], &from, STEP)?;
        // What is applied and not yet durable comes next time, so that the cursor never names what a reader's head does not.
        let head = self.store.head().seq;
        let mut added = Added::default();
        let mut last = seq;
        for found in &events {
            let number = found.key.as_slice().try_into().map(u64::from_be_bytes);
            let number = number.map_err(|_| Error::Bug("an event without a number".into()))?;
            if number > head {
                break;
            }
            last = number;
            let (_, bytes) = audit::parse_stored(&found.record.value)?;
            let event = Logged::read(bytes).map_err(|e| Error::Bug(format!("stored event: {e}")))?;
            added.add(last, &event);
        }
        if last == seq {
            return Ok(false);
        }
        let mut unit = Unit { ops: vec![cursor(FORMAT, last, expect)], events: Vec::new() };
        let put = |key, value| Op::Put { space: Space::History, key, value, expect: Expect::Any };
        for (key, more) in added.counts {
            let before = match self.store.get(Space::History, &key)? {
                None => 0,
                Some(found) => {
                    read_count(&found.value).ok_or_else(|| Error::Bug("count of another form".into()))?
                }
            };
            unit.ops.push(put(key, write_count(before.saturating_add(more))));
        }
        unit.ops.extend(added.entries.into_iter().map(|key| put(key, Vec::new())));
        self.followed_by(unit).await?;
        Ok(events.len() == STEP)
    }

    async fn followed_by(&self, unit: Unit) -> Result<(), Error> {
        self.commit(unit).await?.map_err(|guard| Error::Bug(format!("cursor of histories: {guard:?}")))
    }
}

fn cursor(form: u8, seq: u64, expect: Expect) -> Op {
    let value = [&[form], seq.to_be_bytes().as_slice()].concat();
    Op::Put { space: Space::Cursor, key: CURSOR.into(), value, expect }
}
