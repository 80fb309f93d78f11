//! How a store comes by the sum over all its records, and how a whole store is compared to it.

use std::fs::File;

use ::sled::Db;

use super::{
    packs::{batch, records},
    read, unreadable,
};
use crate::{
    domain::audit::Head,
    store::{
        Error, Space,
        overlay::Writes,
        patrol::{Looked, Patrol, Step, sum_key},
        record::{self, Position},
    },
};

/// The first records of a store, with their sum. Not synced.
pub(super) fn initialise(db: &Db) -> Result<(), Error> {
    let unit = Position::START.unit;
    let first = [
        (record::FORMAT_KEY, record::FORMAT.to_be_bytes().to_vec()),
        (record::HEAD_KEY, record::head(&Head::EMPTY)),
    ];
    let mut writes: Writes = first
        .map(|(key, value)| (record::stored_key(Space::Meta, key), Some(record::stored_value(unit, &value))))
        .into();
    Patrol::default().change(&mut writes, unit, |_| Ok(None))?;
    write(db, writes)
}

/// Goes on with the sum of a store of today's format.
pub(super) fn open(db: &Db) -> Result<Patrol, Error> {
    Patrol::open(read(|| db.get(sum_key()).map_err(unreadable))?.as_deref())
}

/// Brings a store of a former format to today's, durably: a sum where it has none. What lies in it may stay as it is.
pub(super) fn bring(db: &Db, log: &File, position: &Position, format: u32) -> Result<(), Error> {
    let patrol = match format {
        record::FORMAT_WITHOUT_SUM => read(|| Patrol::begin(records(db, Vec::new())))?,
        _ => open(db)?,
    };
    let key = record::stored_key(Space::Meta, record::FORMAT_KEY);
    let format = record::stored_value(Position::START.unit, &record::FORMAT.to_be_bytes());
    let mut writes = Writes::from([(key, Some(format))]);
    patrol.change(&mut writes, position.unit, |key| {
        read(|| Ok(db.get(key).map_err(unreadable)?.map(|value| value.to_vec())))
    })?;
    write(db, writes)?;
    log.sync_all().map_err(|e| Error::NotWritten(format!("cannot sync the log: {e}")))
}

/// Looks at all records at once.
pub(super) fn whole(db: &Db) -> Result<Step, Error> {
    let mut patrol = open(db)?;
    match read(|| patrol.look_at_all(records(db, Vec::new())))? {
        Looked::Damage(found) => Err(Error::Fatal(found)),
        Looked::Sound(step) => Ok(step),
    }
}

fn write(db: &Db, writes: Writes) -> Result<(), Error> {
    let told = |e: ::sled::Error| Error::NotWritten(format!("sled cannot write: {e}"));
    db.apply_batch(batch(writes)).map_err(told)?;
    db.flush().map_err(told).map(|_bytes| ())
}
