//! A counter with an operator and a supervisor, each with a card, and everything behind it.

use serde_json::{Value, json};
use sigillo::domain::{fictional, signed_text::Context};

use crate::fixture::{
    Api, Installation,
    listed::{self, SecondCa},
    registered::OperatorCard,
};

/// An installation of its own that delivers, and who works there.
pub(crate) struct Counter {
    pub(crate) home: Installation,
    pub(crate) desk: Api,
    supervisor: OperatorCard,
}

impl Counter {
    pub(crate) async fn open() -> Self {
        let mut home = Installation::new();
        let ca = SecondCa::of(&home);
        let mut people = fictional::cards(13, 1, &["120".parse().unwrap()]);
        let code = people.next().unwrap().tax_code.as_str().to_owned();
        listed::operator(&home, &code, r#""supervisor""#);
        let card = ca.card(&format!("{code}/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE="));
        home.start().await;
        home.start_courier();
        let desk = home.api("desk");
        let supervisor = OperatorCard::new(card.certificate_pem().as_bytes(), card.key_pem().as_bytes());
        supervisor.register(&desk).await;
        Self { home, desk, supervisor }
    }

    /// Asks for an approval, which the supervisor reads and signs; its id, and the text.
    pub(crate) async fn approved(&self, wanted: &Value) -> (String, String) {
        let answer = self.desk.change("/v1/approvals", wanted).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        let (id, text) = (body["id"].as_str().unwrap(), body["text"].as_str().unwrap());
        let signature = self.supervisor.sign(Context::Approval, text);
        let path = format!("/v1/approvals/{id}/sign");
        let signed = self.supervisor.post(&self.desk, &path, &json!({ "signature": signature })).await;
        assert_eq!(signed.ok()["state"], "signed");
        (id.to_owned(), text.to_owned())
    }
}
