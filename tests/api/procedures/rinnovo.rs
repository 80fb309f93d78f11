//! Rinnovo in self-service: whoever is logged in to the citizens' front end with an expiring card activates the one that
//! renews it, if both are of one issuing body and the expiring one was handed over in person.

use hyper::{HeaderMap, Method, header::HeaderValue};
use serde_json::{Value, json};

use crate::fixture::{
    Activated, Answer, Api, Card, Installation,
    api::{OPERATOR_HEADER, forwarded, json_with_operator, key, operator},
    audit::Log,
    cards::identity_card,
    listed::SecondCa,
};

const PATH: &str = "/v1/self-renewals";

/// An installation whose second authority issues citizens' cards.
struct Town {
    home: Installation,
    ca: SecondCa,
    desk: Api,
    portal: Api,
}

impl Town {
    async fn new() -> Self {
        let mut home = Installation::new();
        let ca = SecondCa::of(&home);
        home.start().await;
        home.start_courier();
        let (desk, portal) = (home.api("desk"), home.api("portal"));
        Self { home, ca, desk, portal }
    }

    /// The certificate in the chip of a card, as the front end forwards it.
    fn login(&self, card: &Card) -> HeaderValue {
        let chip = format!("6{}000", &card.team_number[7..19]);
        let name = format!("{}/{chip}.c2lnaWxsbyBkZW1vIGNhcmQgMDM=", card.tax_code);
        forwarded(self.ca.card(&name).certificate_pem().as_bytes())
    }

    /// A new card of the holder of `old`, registered as the one that renews it, or as `how` says.
    async fn next(&self, old: &Card, how: &str) -> Card {
        let card = Card { tax_code: old.tax_code.clone(), ..self.in_region_of(old) };
        let mut line = card.printed();
        line[how] = json!(old.team_number);
        self.register(&line).await;
        card
    }

    /// A card of the same region that nobody has registered.
    fn in_region_of(&self, old: &Card) -> Card {
        loop {
            let card = self.home.produced(1).remove(0);
            if card.team_number[7..10] == old.team_number[7..10] {
                return card;
            }
        }
    }

    async fn register(&self, line: &Value) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-ndjson".parse().unwrap());
        let answer = self.home.api("bureau").send(Method::POST, "/v1/cards", headers, line.to_string()).await;
        assert_eq!(answer.unwrap().ok()["registered"], 1);
    }

    async fn post(&self, login: &HeaderValue, key: Option<&str>, body: &Value) -> Answer {
        let headers = json_with_operator(key, login.clone());
        self.portal.send_as_is(Method::POST, PATH, headers, body.to_string()).await.unwrap()
    }

    async fn renew(&self, login: &Card, old: &Card, new: &Card) -> Answer {
        self.post(&self.login(login), Some(&key()), &body(old, new)).await
    }
}

fn address(new: &Card) -> String {
    format!("rinnovo-{}@esempio.it", new.team_number)
}

fn body(old: &Card, new: &Card) -> Value {
    let mut body = new.printed();
    body["former_team_number"] = json!(old.team_number);
    body["contact"] = json!({ "channel": "email", "address": address(new), "repeated": address(new) });
    body["data_processing"] = json!(true);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_renews_with_the_expiring_card() {
    let town = Town::new().await;
    let old = town.home.activated(&town.desk).await.card;
    let new = town.next(&old, "renews").await;
    let login = town.login(&old);

    let mut preview = body(&old, &new);
    preview["preview"] = json!(true);
    let shown = town.post(&login, None, &preview).await.ok();
    assert_eq!((&shown["card"]["state"], &shown["lacks"]), (&json!("registered"), &json!([])));
    assert_eq!(shown["codes"]["PIN"], json!({ "first": 2, "second": 3 }));
    preview["data_processing"] = json!(false);
    assert_eq!(town.post(&login, None, &preview).await.ok()["lacks"], json!(["data_processing_missing"]));

    // First parts on the screen, second parts by the channel; the former card ends in the same moment.
    let once = key();
    let answer = town.post(&login, Some(&once), &body(&old, &new)).await;
    let renewed = Activated::new(&new, &address(&new), &answer);
    assert_eq!(town.post(&login, Some(&once), &body(&old, &new)).await.ok(), answer.ok(), "the same again");
    assert_eq!(renewed.second_parts(&town.home).await["PIN"].len(), 3);
    let found = new.look_up(&town.desk).await;
    assert_eq!((&found["state"], &found["activation"]), (&json!("active"), &json!("self_service")));
    assert_eq!(old.look_up(&town.desk).await["state"], "revoked");
    let cip = renewed.cip(&town.home).await;
    assert_eq!(new.verify(&town.desk, &cip).await.0, "accepted");
    let delivery = town.portal.get(&format!("/v1/deliveries/{}", renewed.delivery)).await.ok();
    assert_eq!(delivery["channel"], "email");

    let log = Log::read(&town.home.api("auditor")).await;
    let done: Vec<_> = log.by(&answer).into_iter().filter(|e| e.text("outcome") == "done").collect();
    // What of the old card is still on its way, if anything, is cancelled.
    let kinds = done.iter().map(|event| event.text("kind")).filter(|kind| *kind != "delivery.cancelled");
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["card.activated", "card.revoked", "delivery.queued"]);
    assert_eq!((done[0].text("activation"), done[0].text("caller")), ("self_service", "portal"));
    assert_eq!(done[0].text("citizen").len(), 32);
    assert!(!format!("{:?}", log.0).contains(&old.tax_code));

    // The next card is handed over at a counter again.
    let next = town.next(&new, "renews").await;
    town.renew(&new, &new, &next).await.problem(409, "former_card_not_in_person");
    town.home.activate(&town.desk, &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_condition_has_a_refusal_of_its_own() {
    let town = Town::new().await;
    let old = town.home.activated(&town.desk).await.card;
    let new = town.next(&old, "renews").await;
    let other = town.home.activated(&town.desk).await.card;
    let refused = async |login: &Card, old: &Card, new: &Card, status: u16, code: &str| {
        town.renew(login, old, new).await.problem(status, code);
    };
    refused(&other, &old, &new, 403, "renewal_other_holder").await;
    let same_holder = Card { tax_code: old.tax_code.clone(), ..other.clone() };
    refused(&same_holder, &old, &new, 403, "renewal_other_card").await;
    refused(&old, &other, &new, 403, "renewal_other_card").await;
    let alone = Card { tax_code: old.tax_code.clone(), ..town.in_region_of(&old) };
    refused(&old, &old, &alone, 404, "card_not_found").await;
    town.register(&alone.printed()).await;
    refused(&old, &old, &alone, 409, "no_former_card").await;
    let abroad = loop {
        let card = town.home.produced(1).remove(0);
        if card.team_number[7..10] != old.team_number[7..10] {
            break Card { tax_code: old.tax_code.clone(), ..card };
        }
    };
    let mut line = abroad.printed();
    line["renews"] = json!(old.team_number);
    town.register(&line).await;
    refused(&old, &old, &abroad, 409, "renewal_other_issuer").await;

    // A guardian had the expiring card.
    let wards = town.home.cards(2).await;
    let mut by_guardian = wards[0].activation("tutore@esempio.it");
    by_guardian["applicant"] = json!({
        "is": "proxy", "document": identity_card(), "declaration": true,
        "proxy": {
            "title": "guardian", "tax_code": wards[1].tax_code, "given_name": "Anna", "family_name": "Bianchi",
        },
    });
    town.desk.change("/v1/activations", &by_guardian).await.ok();
    let next = town.next(&wards[0], "renews").await;
    refused(&wards[0], &wards[0], &next, 409, "former_card_not_in_person").await;

    // What else a request may lack.
    let login = town.login(&old);
    let mut unticked = body(&old, &new);
    unticked["data_processing"] = json!(false);
    let answer = town.post(&login, Some(&key()), &unticked).await;
    assert_eq!(answer.problem(422, "data_processing_missing").as_deref(), Some("$.data_processing"));
    let mut twice = body(&old, &new);
    twice["contact"]["repeated"] = json!("altro@esempio.it");
    town.post(&login, Some(&key()), &twice).await.problem(422, "contacts_differ");
    town.post(&login, None, &body(&old, &new)).await.problem(400, "idempotency_key_missing");

    // A replaced card is revoked at once: it renews nothing.
    let lost = town.next(&old, "replaces").await;
    assert_eq!(old.look_up(&town.desk).await["state"], "revoked");
    refused(&old, &old, &lost, 409, "no_former_card").await;
    refused(&old, &old, &new, 409, "former_card_not_active").await;
    assert_eq!(new.look_up(&town.desk).await["state"], "registered");
}

/// A citizen's certificate opens this one way, at this one front end.
#[tokio::test(flavor = "multi_thread")]
async fn citizens_and_operators_do_not_pass_for_each_other() {
    let town = Town::new().await;
    let old = town.home.activated(&town.desk).await.card;
    let new = town.next(&old, "renews").await;
    let (login, request) = (town.login(&old), body(&old, &new));
    let nobody = town.portal.send(
        Method::POST,
        PATH,
        json_with_operator(Some(&key()), login.clone()),
        request.to_string(),
    );
    nobody.await.unwrap().problem(400, "citizen_missing");
    let stranger = SecondCa::new();
    let chip = format!("{}/6{}000.c2lnaWxsbyBkZW1vIGNhcmQgMDM=", old.tax_code, &old.team_number[7..19]);
    let forged = forwarded(stranger.card(&chip).certificate_pem().as_bytes());
    town.post(&forged, Some(&key()), &request).await.problem(403, "operator_bad_signature");
    // Nor may the counter's front end ask for it, or the citizens' for anything of a counter.
    town.desk.change(PATH, &request).await.problem(403, "not_allowed");
    for path in ["/v1/cards/lookup", "/v1/activations", "/v1/consents"] {
        for who in [login.clone(), operator()] {
            let mut headers = json_with_operator(Some(&key()), login.clone());
            headers.insert(OPERATOR_HEADER, who);
            let answer = town.portal.send_as_is(Method::POST, path, headers, new.printed().to_string()).await;
            answer.unwrap().problem(403, "not_allowed");
        }
    }
    // An operator's certificate is a citizen's there: of another card, and another person.
    town.post(&operator(), Some(&key()), &request).await.problem(403, "renewal_other_holder");
}
