//! The journey itself: activation, the message, the C.I.P., revocation, and what is refused after that.

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use sigillo::{
    api::{
        cards::{Card, NewCard, Revoked},
        codes::{Delivery, HandedOut, Verified},
    },
    tls::Protocols,
};
use sigillo_bench::{
    desk::{Desk, Refused},
    installation::{API, Installation, run},
    mailbox,
};

use crate::{Teller, aftercare, colleagues, counter, figures, forms, officers, phone, services};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: u32 = 600;

/// Plays it.
pub(crate) async fn play(teller: &mut Teller, here: &mut Installation, sigillo: &Path) -> Result<(), String> {
    let directory = here.directory().to_owned();
    let clients = directory.join("clients");
    let url = format!("https://{API}");
    let desk = Desk::new(&clients, ("desk", "operator"), &url, Protocols::Any)?;
    let card = a_card(&directory, "010")?;
    let data = json!({
        "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on,
    });

    println!(
        "\nAnother operator works through a front end. The key of that one's card is a file here, not in a chip.\n"
    );
    let what = "Nothing is allowed yet: the list of operators is not enough";
    let said = teller.step(what, refused(&desk, "/v1/cards/lookup", "too-early", &data)).await?;
    expect("operator_not_registered", &said)?;
    let what = "Its key signs the authority's text; from now on no other key is taken for this operator (Registra CNS)";
    teller.step(what, async { desk.register_operator("operator").await.map_err(|e| e.to_string()) }).await?;
    let what = "The front end asks what the operator may do";
    let session = teller.step(what, async { desk.session().await.map_err(|e| e.to_string()) }).await?;
    let actions: Vec<_> = session.actions.iter().map(|one| one.action.as_str()).collect();
    println!(
        "    {}, office {}: {}",
        session.operator.roles.join(", "),
        session.operator.office,
        actions.join(", ")
    );

    forms::play(teller, &desk).await?;

    println!("\nA citizen comes to the counter with the card {}.\n", card.team_number);
    let what = "The operator looks the card up by what is printed on it";
    let seen: Card = teller.step(what, post(&desk, "/v1/cards/lookup", "look-up", &data)).await?;
    println!("    It is {}, valid until {}, template {}.", seen.state, seen.expires_on, seen.template);

    let mut activation = data.clone();
    set(&mut activation, "applicant", counter::holder());
    set(&mut activation, "contact", json!({ "channel": "email", "address": "citizen@example.it" }));
    counter::summary(teller, &desk, &activation).await?;
    set(&mut activation, "data_processing", true.into());
    let what = "The operator confirms: the card is active, the paper is printed";
    let paper: HandedOut =
        teller.step(what, post(&desk, "/v1/activations", "activation", &activation)).await?;
    println!("    +------------------ paper for the citizen ------------------+");
    for (code, part) in &paper.first_parts {
        println!("    |  {:<57}|", format!("{code}: first part {part}"));
    }
    println!("    |  {:<57}|", format!("control number {}", paper.control));
    counter::print(&paper.paper);
    println!("    +-----------------------------------------------------------+");

    let mail = directory.join("smtp/mail/new");
    let what = "The courier makes the second parts in its own token and sends them";
    let message = teller.step(what, mailbox::wait_for(&mail, &paper.control)).await?;
    for line in message.text.lines().filter(|l| l.starts_with("To: ") || l.starts_with("Seconda parte")) {
        println!("    {line}");
    }
    let part =
        |of: &std::collections::BTreeMap<_, String>| of.get("CIP").cloned().ok_or("no part of a C.I.P.");
    let second =
        message.second_parts.get("CIP").cloned().ok_or("no second part of a C.I.P. in the message")?;
    let cip = format!("{}{second}", part(&paper.first_parts)?);
    let wrong = format!("{}{}", flip(&cip)?, cip.get(1..).unwrap_or_default());

    println!("\nThe citizen has lost the paper (Ristampa PIN/PUK).\n");
    let mut reprint = data.clone();
    for (member, value) in [("applicant", counter::holder()), ("reason", "lost_paper".into())] {
        set(&mut reprint, member, value);
    }
    set(&mut reprint, "contact", json!({ "channel": "email", "address": "citizen@example.it" }));
    let what = "The same codes are printed and sent once more, never new ones";
    let again: HandedOut = teller.step(what, post(&desk, "/v1/reprints", "lost", &reprint)).await?;
    for code in ["PIN", "PUK"] {
        let parts = (again.first_parts.get(code), paper.first_parts.get(code));
        expect(&format!("{:?}", parts.1), &format!("{:?}", parts.0))?;
    }
    counter::print(&again.paper);

    println!("\nThe card is stolen. The citizen asks for its revocation, with the C.I.P. as proof.\n");
    let ask = |code: &str| json!({ "team_number": card.team_number, "code": code, "purpose": "revocation" });
    let what = "A wrong C.I.P. is rejected, and a try is spent";
    let verified: Verified =
        teller.step(what, post(&desk, "/v1/verifications", "wrong", &ask(&wrong))).await?;
    expect("rejected", &verified.outcome)?;
    let what = "The joined C.I.P. is accepted, and the tries are given back";
    let verified: Verified = teller.step(what, post(&desk, "/v1/verifications", "right", &ask(&cip))).await?;
    expect("accepted", &verified.outcome)?;
    let revocation = json!({
        "team_number": card.team_number, "verification": verified.verification, "reason": "stolen",
        "applicant": counter::holder(),
    });
    let what = "The card is revoked for good; the proof is used up";
    let revoked: Revoked =
        teller.step(what, post(&desk, "/v1/revocations", "revocation", &revocation)).await?;
    expect("revoked", &revoked.state)?;
    counter::print(&revoked.paper);

    println!("\nFrom now on everything is refused.\n");
    let what = "The right C.I.P. is rejected, and the answer does not say why";
    let verified: Verified = teller.step(what, post(&desk, "/v1/verifications", "after", &ask(&cip))).await?;
    expect("rejected", &verified.outcome)?;
    for (what, path, key, body, code) in [
        ("A reprint is refused", "/v1/reprints", "reprint", &reprint, "card_revoked"),
        ("A new activation is refused", "/v1/activations", "again", &activation, "card_revoked"),
        (
            "A second revocation is refused",
            "/v1/revocations",
            "twice",
            &revocation,
            "no_accepted_verification",
        ),
    ] {
        let said = teller.step(what, refused(&desk, path, key, body)).await?;
        expect(code, &said)?;
    }

    let without_cip = by_sms(teller, &desk, &directory).await?;
    colleagues::play(teller, &desk, &without_cip, &clients).await?;
    figures::play(teller, &desk, &data, &clients).await?;
    aftercare::new_cip(teller, &desk, &a_card(&directory, "120")?, &directory).await?;
    services::play(teller, &desk, &directory, sigillo).await?;
    officers::play(teller, &desk, &a_card(&directory, "042")?, &directory, sigillo).await?;

    println!("\nAn auditor checks the log, with a copy and a public key and nothing else.\n");
    let export = directory.join("audit.ndjson");
    let mut command = Command::new(sigillo);
    command.args(["audit", "export", "--url", &url, "--ca"]).arg(clients.join("ca.pem"));
    command.arg("--cert").arg(clients.join("auditor.pem")).arg("--key").arg(clients.join("auditor.key"));
    command.arg("--out").arg(&export);
    teller.step("The log is exported", async { run(&mut command) }).await?;
    let key = directory.join("authority/public/audit.pub.pem");
    let verify = |file: &Path| {
        run(Command::new(sigillo).args(["audit", "verify", "--public-key"]).arg(&key).arg(file))
    };
    let said = teller.step("It is verified offline", async { verify(&export) }).await?;
    println!("    {said}");
    let tampered = directory.join("audit-tampered.ndjson");
    let text = fs::read_to_string(&export).map_err(|e| e.to_string())?;
    fs::write(&tampered, text.replacen("\"rejected\"", "\"accepted\"", 1)).map_err(|e| e.to_string())?;
    let what = "With one word changed it does not hold any more";
    let said = teller
        .step(what, async { verify(&tampered).err().ok_or_else(|| "it still holds".to_owned()) })
        .await?;
    println!("    {said}");
    here.still_running("courier")
}

pub(crate) async fn post<R: serde::de::DeserializeOwned>(
    desk: &Desk,
    path: &str,
    key: &str,
    body: &Value,
) -> Result<R, String> {
    desk.post(path, key, body).await.map_err(|e| e.to_string())
}

/// The code of the refusal.
pub(crate) async fn refused(desk: &Desk, path: &str, key: &str, body: &Value) -> Result<String, String> {
    match desk.post::<_, Value>(path, key, body).await {
        Err(Refused::Problem(problem)) => Ok(problem.code),
        Err(other) => Err(other.to_string()),
        Ok(_) => Err("it was not refused".into()),
    }
}

/// A citizen of Lombardia, whose card has no C.I.P., gets the second parts on the phone.
async fn by_sms(teller: &mut Teller, desk: &Desk, directory: &Path) -> Result<NewCard, String> {
    const NUMBER: &str = "+393331234567";
    println!("\nAnother citizen wants the second parts on the phone.\n");
    let card = a_card(directory, "030")?;
    let activation = json!({
        "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on,
        "applicant": counter::guardian(),
        "contact": { "channel": "sms", "address": NUMBER },
        "data_processing": true,
    });
    let what = "The operator activates the card for the holder's guardian; Lombardia has no C.I.P.";
    let paper: HandedOut = teller.step(what, post(desk, "/v1/activations", "by-sms", &activation)).await?;
    let id = paper.delivery.as_deref().ok_or("no delivery")?;
    let log = directory.join("logs/network.log");
    let what = "The courier sends an SMS through Kannel; the network gets";
    let text = teller.step(what, phone::wait_for(&log, NUMBER, &paper.control)).await?;
    println!("    {NUMBER}: {text}");
    let what = "Kannel's receipt comes back: the operator sees that it was delivered";
    let path = format!("/v1/deliveries/{id}");
    let seen = teller.step(what, ended(desk, &path)).await?;
    println!("    {} by {}, attempt {}", seen.state, seen.channel, seen.attempts);
    expect("delivered", &seen.state)?;
    aftercare::resend(teller, desk, id).await?;
    Ok(card)
}

/// The delivery once the gateway has said what became of it.
async fn ended(desk: &Desk, path: &str) -> Result<Delivery, String> {
    for _ in 0..PATIENCE {
        let seen: Delivery = desk.get(path).await.map_err(|e| e.to_string())?;
        if matches!(seen.state.as_str(), "delivered" | "failed" | "cancelled") {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("no receipt has come".into())
}

/// A card of the batch, of the region with these three digits.
pub(crate) fn a_card(directory: &Path, region: &str) -> Result<NewCard, String> {
    let text = fs::read_to_string(directory.join("cards.ndjson")).map_err(|e| e.to_string())?;
    let start = format!("\"8038000{region}");
    let line = text.lines().find(|line| line.contains(&start));
    serde_json::from_str(line.ok_or_else(|| format!("no card of region {region}"))?)
        .map_err(|e| e.to_string())
}

/// Another first digit.
fn flip(code: &str) -> Result<char, String> {
    match code.chars().next() {
        Some('0') => Ok('1'),
        Some(_) => Ok('0'),
        None => Err("an empty code".into()),
    }
}

pub(crate) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.into(), value);
    }
}

pub(crate) fn expect(wanted: &str, got: &str) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("answered {got}, not {wanted}")) }
}
