//! Checkpoints kept on the token as data objects: `CKO_DATA`, private, `CKA_APPLICATION` `sigillo checkpoint-a` or `-b`.
//!
//! The two objects are made in the ceremony and changed in place by `C_SetAttributeValue`. To make a new object for each
//! checkpoint and to destroy the old one costs SoftHSM 860 bytes of memory each time, for ever, and some modules
//! mishandle the making of objects from several threads. SoftHSM lets nobody change `CKA_VALUE`; there the checkpoint
//! is kept in `CKA_LABEL`, the one attribute that every token lets change. An object that a crash left unreadable is
//! made again. It must never be asked to keep a secret.

use cryptoki::{
    error::{Error as P11, RvError},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{Error, keys::KeyName, rv, survey};
use crate::hsm::{Marks, Place};

/// What stands in a new object: some tokens mishandle an empty value.
const NONE_YET: &[u8] = b"none yet";

/// Makes the places that are missing. Needs a read-write session.
pub(super) fn make(session: &Session) -> Result<(), Error> {
    for place in Place::ALL {
        if find(session, place)?.is_none() {
            create(session, place, NONE_YET)?;
        }
    }
    Ok(())
}

/// Both places.
pub(super) fn read(session: &Session) -> Result<Marks, Error> {
    let [a, b] = Place::ALL;
    Ok([read_one(session, a)?, read_one(session, b)?])
}

/// Writes one place. Needs a read-write session.
///
/// A place that is not there is made only on a token that shows a key of ours, and when it is looked for once more: a
/// token that for a moment shows less than it has would have two of them from then on, and be refused.
pub(super) fn write(session: &Session, version: u8, place: Place, mark: &[u8]) -> Result<(), Error> {
    let object = match find(session, place)? {
        Some(object) => Some(object),
        None => {
            let key = KeyName::Audit;
            let shown = survey::find(session, key, &key.search(key.class(), version))?.len();
            if shown != 1 {
                let label = place.label();
                return Err(Error::Unavailable(format!(
                    "the token shows neither {label:?} nor its keys, of which {shown} are called {:?}",
                    key.label()
                )));
            }
            find(session, place)?
        }
    };
    let Some(object) = object else { return create(session, place, mark) };
    match session.update_attributes(object, &[Attribute::Value(mark.to_vec())]) {
        Err(P11::Pkcs11(RvError::AttributeReadOnly | RvError::ActionProhibited, _)) => {
            session.update_attributes(object, &[Attribute::Label(mark.to_vec())])
        }
        other => other,
    }
    .map_err(|error| failed("writing", place, &error))
}

fn create(session: &Session, place: Place, mark: &[u8]) -> Result<(), Error> {
    let mut template = search(place);
    template.extend([
        Attribute::Private(true),
        Attribute::Modifiable(true),
        Attribute::Label(place.label().into()),
        Attribute::Value(mark.to_vec()),
    ]);
    session.create_object(&template).map(|_handle| ()).map_err(|error| failed("making", place, &error))
}

/// The label where it is no longer the one that the object was made with, the value otherwise.
fn read_one(session: &Session, place: Place) -> Result<Option<Vec<u8>>, Error> {
    let Some(object) = find(session, place)? else { return Ok(None) };
    let read = session
        .get_attributes(object, &[AttributeType::Label, AttributeType::Value])
        .map_err(|error| failed("reading", place, &error))?;
    let (mut label, mut value) = (Vec::new(), Vec::new());
    for attribute in read {
        if let Attribute::Label(bytes) = attribute {
            label = bytes;
        } else if let Attribute::Value(bytes) = attribute {
            value = bytes;
        }
    }
    let kept = if label == place.label().as_bytes() { value } else { label };
    Ok(Some(if kept == NONE_YET { Vec::new() } else { kept }))
}

/// The object of a place; nothing if there is none.
fn find(session: &Session, place: Place) -> Result<Option<ObjectHandle>, Error> {
    let found = session.find_objects(&search(place)).map_err(|error| failed("looking for", place, &error))?;
    match *found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            Err(Error::WrongKey(format!("{} objects {:?} on the token, not one", found.len(), place.label())))
        }
    }
}

fn search(place: Place) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Application(format!("sigillo {}", place.label()).into_bytes()),
    ]
}

fn failed(doing: &str, place: Place, error: &cryptoki::error::Error) -> Error {
    rv::error(&format!("{doing} {:?}", place.label()), error)
}
