//! What else a counter does: consents to the health record, a card reader. And a citizen who renews a card alone.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use sigillo::{
    api::{
        cards::{Card, NewCard},
        codes::HandedOut,
        consents::{Consents, RecordedConsents},
        readers::{ReaderReceipt, ReaderStock},
    },
    domain::fictional,
    tls::Protocols,
};
use sigillo_bench::{
    desk::Desk,
    installation::{API, run},
};

use crate::{
    Teller,
    journey::{a_card, expect, post, refused, set},
};

/// Tells it.
pub(crate) async fn play(
    teller: &mut Teller,
    desk: &Desk,
    directory: &Path,
    sigillo: &Path,
) -> Result<(), String> {
    let card = a_card(directory, "050")?;
    consents_and_reader(teller, desk, &card, &directory.join("clients")).await?;
    // The certificate `clients/citizen.pem` is of this one.
    renew(teller, desk, &a_card(directory, "090")?, directory, sigillo).await
}

/// Consents and a reader for the holder of an active card; the supervisor's card is registered.
async fn consents_and_reader(
    teller: &mut Teller,
    desk: &Desk,
    card: &NewCard,
    clients: &Path,
) -> Result<(), String> {
    println!("\nA citizen has come for a card, for the health record, and for a card reader.\n");
    let data = printed(card);
    let what = "The card is activated";
    let _paper: HandedOut =
        teller.step(what, post(desk, "/v1/activations", "services", &activation(card))).await?;
    let what = "The front end asks which consents there are, in which words";
    let seen: Consents = teller.step(what, post(desk, "/v1/consents/lookup", "consents", &data)).await?;
    for consent in &seen.consents {
        let until = consent.asked_until.as_deref().map_or(String::new(), |day| format!(" until {day}"));
        let now = if consent.asked_for { "asked for" } else { "history" };
        println!("    {}: {now}{until}", consent.kind);
    }
    let asked = seen.consents.iter().find(|consent| consent.asked_for).ok_or("no consent is asked for")?;
    let text = asked.text.as_deref().ok_or("no words")?;
    for (choice, key) in [("grant", "consent-1"), ("withdraw", "consent-2")] {
        let mut say = data.clone();
        set(&mut say, "applicant", in_person());
        set(&mut say, "consents", json!({ &asked.kind: { "choice": choice, "text": text } }));
        let what = format!("The citizen says: {choice}");
        let done: RecordedConsents = teller.step(&what, post(desk, "/v1/consents", key, &say)).await?;
        for one in &done.consents {
            println!("    {} is {}, record {}", one.kind, one.state, one.number);
        }
    }
    let mut reader = data.clone();
    set(&mut reader, "kind", "sale".into());
    let what = "No reader is handed over from an empty stock";
    let said = teller.step(what, refused(desk, "/v1/reader-requests", "reader-0", &reader)).await?;
    expect("reader_out_of_stock", &said)?;
    let supervisor = Desk::new(clients, ("desk", "supervisor"), &format!("https://{API}"), Protocols::Any)?;
    let what = "The supervisor takes ten into the office's stock";
    let stock: ReaderStock =
        teller.step(what, post(&supervisor, "/v1/reader-stock", "stock", &json!({ "received": 10 }))).await?;
    println!("    {}: {} in stock", stock.office, stock.in_stock);
    let what = "One is sold, with a receipt";
    let receipt: ReaderReceipt =
        teller.step(what, post(desk, "/v1/reader-requests", "reader-1", &reader)).await?;
    let ReaderReceipt { office, year, number, price_cents, .. } = &receipt;
    println!("    {office}, receipt {year}/{number}, {price_cents} cents");
    let what = "The same holder gets no second one";
    let said = teller.step(what, refused(desk, "/v1/reader-requests", "reader-2", &reader)).await?;
    expect("reader_already_handed_over", &said)
}

/// The holder of `old` has it activated at a counter, and renews it alone.
async fn renew(
    teller: &mut Teller,
    desk: &Desk,
    old: &NewCard,
    directory: &Path,
    sigillo: &Path,
) -> Result<(), String> {
    println!("\nA citizen's card is about to expire. The new one came by post, and no counter is needed.\n");
    let clients = directory.join("clients");
    let region = "090".parse().map_err(|_| "no region")?;
    let new = fictional::cards(90, 1, &[region]).next().ok_or("no card")?;
    let new = json!({
        "tax_code": old.tax_code, "team_number": new.team_number.as_str(), "expires_on": new.expiry.to_string(),
    });
    let what = "Years ago: the old card was handed to its holder in person";
    let _paper: HandedOut = teller.step(what, post(desk, "/v1/activations", "old", &activation(old))).await?;
    let mut line = new.clone();
    set(&mut line, "renews", old.team_number.as_str().into());
    let batch = directory.join("renewal.ndjson");
    fs::write(&batch, format!("{line}\n")).map_err(|e| e.to_string())?;
    let mut command = Command::new(sigillo);
    command.args(["cards", "import", "--url", &format!("https://{API}"), "--ca"]).arg(clients.join("ca.pem"));
    command.arg("--cert").arg(clients.join("bureau.pem")).arg("--key").arg(clients.join("bureau.key"));
    command.arg(&batch);
    teller.step("The bureau registers the card that renews it", async { run(&mut command) }).await?;
    let portal = Desk::new(&clients, ("portal", "citizen"), &format!("https://{API}"), Protocols::Any)?;
    let mut renewal = new;
    set(&mut renewal, "former_team_number", old.team_number.as_str().into());
    set(&mut renewal, "contact", contact());
    set(&mut renewal, "data_processing", true.into());
    let what = "Logged in with the old card at the citizens' front end, the holder activates the new one";
    let paper: HandedOut = teller.step(what, post(&portal, "/v1/self-renewals", "renewal", &renewal)).await?;
    for (code, part) in &paper.first_parts {
        println!("    {code}: first part {part}");
    }
    let what = "The old card is revoked in the same moment";
    let seen: Card = teller.step(what, post(desk, "/v1/cards/lookup", "old-card", &printed(old))).await?;
    expect("revoked", &seen.state)
}

fn printed(card: &NewCard) -> Value {
    json!({ "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on })
}

fn contact() -> Value {
    json!({ "channel": "email", "address": "citizen@example.it" })
}

/// Asked for by the holder in person.
fn activation(card: &NewCard) -> Value {
    let mut activation = printed(card);
    set(&mut activation, "applicant", in_person());
    set(&mut activation, "contact", contact());
    set(&mut activation, "data_processing", true.into());
    activation
}

/// The holder with a document of nobody.
fn in_person() -> Value {
    json!({
        "is": "holder",
        "document": {
            "kind": "identity_card", "number": "CA00000AA", "issuer": "Comune di Esempio",
            "issued_on": "2020-01-01", "expires_on": "2099-12-31",
        },
    })
}
