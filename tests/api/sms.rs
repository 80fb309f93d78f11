//! Second parts by SMS: the real courier, a real Kannel with the shipped settings, its own stand-in for a network.

use serde_json::{Value, json};

use crate::fixture::{Activated, Api, Installation, eventually, kannel::Kannel};

pub(crate) const NUMBER: &str = "+393337654321";

fn by_sms() -> Value {
    json!({ "channel": "sms", "address": NUMBER })
}

/// A card whose second parts go to this contact; the number, where they are looked for.
pub(crate) async fn activate(home: &Installation, desk: &Api, contact: Value) -> Activated {
    let card = home.cards(1).await.remove(0);
    let mut body = card.activation("");
    body["contact"] = contact;
    Activated::new(&card, NUMBER, &desk.change("/v1/activations", &body).await)
}

/// Waits until the delivery is in this state; answers what is shown of it.
pub(crate) async fn reaches(desk: &Api, active: &Activated, state: &str) -> Value {
    eventually(&format!("the state {state}"), async || {
        let view = desk.get(&format!("/v1/deliveries/{}", active.delivery)).await.ok();
        (view["state"] == state).then_some(view)
    })
    .await
}

/// Digits that stand after `name` in a text.
pub(crate) fn after(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.trim_start_matches([':', '.', ' ']).chars().take_while(char::is_ascii_digit).collect()
}

/// Kannel's files that hold the number, the parts or words of the text.
fn leaks(kannel: &Kannel, text: &str) -> Vec<String> {
    let parts = [after(text, "PUK"), after(text, "Controllo n")];
    let mut words = vec![NUMBER.trim_start_matches('+').to_owned(), "Tessera".to_owned(), "cifre".to_owned()];
    words.extend(parts);
    let mut found = Vec::new();
    for (path, bytes) in kannel.files() {
        for word in &words {
            if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
                break;
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_arrives_whole_is_seen_delivered_and_stays_nowhere() {
    let mut home = Installation::serving().await;
    let mut kannel = Kannel::start(&home, &[]).await;
    home.start_courier();
    let desk = home.api("desk");
    let active = activate(&home, &desk, by_sms()).await;
    // Kannel has taken it and keeps it for a network that is not there yet.
    let sent = reaches(&desk, &active, "sent").await;
    assert_eq!((&sent["channel"], &sent["attempts"]), (&json!("sms"), &json!(1)));
    kannel.connect_network();
    let text = kannel.text(&home, NUMBER).await;
    let view = reaches(&desk, &active, "delivered").await;
    assert_eq!((&view["attempts"], &view["control"]), (&json!(1), &json!(active.control)));
    assert_eq!(after(&text, "Controllo n"), active.control);
    assert_eq!([after(&text, "PIN").len(), after(&text, "PUK").len()], [3, 6]);
    let cip = format!("{}{}", active.first_parts["CIP"], after(&text, "C.I.P."));
    assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");

    assert!(kannel.files().len() >= 5, "logs and outputs of both boxes");
    assert_eq!(leaks(&kannel, &text), Vec::<String>::new());
    let said = home.courier.as_ref().unwrap().said();
    assert!(!said.contains(NUMBER.trim_start_matches('+')) && !said.contains("Tessera"), "{said}");
    assert!(said.contains("receipt"), "{said}");
}

/// With the settings that Kannel is installed with, the search above finds what it looks for.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_quiet_settings_the_text_is_in_two_logs() {
    let mut home = Installation::serving().await;
    let mut kannel = Kannel::start(
        &home,
        &[
            ("log-level = 2\n# quiet: the built-in", "log-level = 0\n# quiet: the built-in"),
            ("access-log-format =", "# access-log-format ="),
            ("log-level = 2\n# A receipt", "log-level = 1\n# A receipt"),
        ],
    )
    .await;
    home.start_courier();
    let desk = home.api("desk");
    let active = activate(&home, &desk, by_sms()).await;
    kannel.connect_network();
    let text = kannel.text(&home, NUMBER).await;
    reaches(&desk, &active, "delivered").await;
    let found = leaks(&kannel, &text);
    for file in ["access.log", "smsbox.log"] {
        assert!(found.iter().any(|name| name == file), "{file} is not in {found:?}");
    }
}

/// A receipt that finds no courier, or a courier that finds no authority, is brought again.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlives_the_courier_and_the_authority() {
    let mut home = Installation::serving().await;
    let receipts = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.edit("courier/courier.toml", "listen = \"127.0.0.1:0\"", &format!("listen = \"{receipts}\""));
    // Of more than one part, with letters that are not ASCII.
    let long = "Vanno dopo le cifre del foglio, perché così è più facile: già a metà del codice non si può sbagliare.";
    home.edit("courier/messages/activation.sms.txt", "Vanno dopo le cifre del foglio.", long);
    let mut kannel = Kannel::start(&home, &[]).await;
    home.start_courier();
    let desk = home.api("desk");
    let active = activate(&home, &desk, by_sms()).await;
    reaches(&desk, &active, "sent").await;
    home.courier.as_mut().unwrap().kill();
    home.serve.as_mut().unwrap().kill();
    kannel.connect_network();
    let text = kannel.text(&home, NUMBER).await;
    assert!(text.chars().count() > 160 && text.contains(long), "{text}");
    home.courier = Some(home.spawn("courier", "courier/courier.toml"));
    eventually("a receipt that is not taken", async || {
        home.courier.as_ref().unwrap().said().contains("receipt not taken").then_some(())
    })
    .await;
    home.start().await;
    reaches(&home.api("desk"), &active, "delivered").await;
}
