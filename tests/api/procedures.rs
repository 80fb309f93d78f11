//! The functions of the operators' menu, each walked as its steps are written down, through a whole installation.

mod attivazione;
mod cambio_contatto;
mod con_la_carta;
mod consensi_fse;
mod counter;
mod guida_operativa;
mod modulistica;
mod nuovo_cip;
mod reinvio;
mod reportistica;
mod revoca;
mod richiesta_lettore;
mod rinnovo;
mod ristampa;
mod sblocco;
mod storico;

use serde_json::{Value, json};

use crate::fixture::cards::identity_card;

/// Of nobody, born in 1985.
const PROXY: &str = "CCCFBA85D03L219P";
/// Of nobody, born in 2020.
const CHILD: &str = "RSSMRA20A01H501G";

/// A proxy who has signed the declaration.
fn proxy(title: &str) -> Value {
    json!({
        "is": "proxy",
        "proxy": { "title": title, "tax_code": PROXY, "given_name": "Anna", "family_name": "Bianchi" },
        "document": identity_card(),
        "declaration": true,
    })
}

/// A body with one member in place of another, by its JSON pointer; `null` takes it away.
fn with(body: &Value, pointer: &str, member: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut body = body.clone();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    drop(if member.is_null() { parent.remove(name) } else { parent.insert(name.to_owned(), member) });
    body
}
