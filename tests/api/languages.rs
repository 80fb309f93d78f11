//! The message with second parts in the citizen's language: asked for with the contact, kept with the delivery, judged by the
//! courier.

use serde_json::json;

use crate::fixture::{Activated, Installation, api::json_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_citizen_of_alto_adige_reads_german() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    // The lines of the PIN have no letter that is encoded in an e-mail.
    for (language, pin) in [
        ("de", "Zweiter Teil der PIN"),
        ("fr", "Seconde partie du PIN "),
        ("it", "Seconda parte del PIN"),
        ("sl", "Drugi del kode PIN"),
    ] {
        let card = home.cards(1).await.remove(0);
        let address = format!("titolare-{}@esempio.it", card.team_number);
        let mut body = card.activation(&address);
        body["contact"]["language"] = json!(language);
        let activated = Activated::new(&card, &address, &desk.change("/v1/activations", &body).await);
        let mail = home.mail(&address).await;
        let part = mail.after(pin);
        assert!(part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()), "{part}");
        assert!(mail.text.contains(&activated.control), "{}", mail.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_is_not_there_is_refused_by_name() {
    let mut home = Installation::new();
    home.edit("authority/policies/authority.toml", "[\"it\", \"de\", \"fr\", \"sl\"]", "[\"it\", \"de\"]");
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    home.start().await;
    let desk = home.api("desk");
    let card = home.cards(1).await.remove(0);
    let mut body = card.activation("titolare@esempio.it");
    for (language, code) in
        [("en", "invalid_value"), ("fr", "language_not_allowed"), ("sl", "language_not_allowed")]
    {
        body["contact"]["language"] = json!(language);
        let refused = desk.change("/v1/activations", &body).await;
        assert_eq!(refused.problem(422, code).as_deref(), Some("$.contact.language"), "{language}");
    }
    let mut headers = json_with(Some("in-italian"));
    headers.insert("accept-language", "it".parse().unwrap());
    let refused = desk.send(hyper::Method::POST, "/v1/activations", headers, body.to_string()).await.unwrap();
    assert_eq!(refused.json()["detail"], "non è una delle lingue previste");
    body["contact"]["language"] = json!("de");
    desk.change("/v1/activations", &body).await.ok();
}
