//! Operators who connect with their own cards, with no front end between.

use std::sync::Arc;

use hyper::{HeaderMap, Method};
use serde_json::json;
use sigillo::{client::ClientError, domain::signed_text::Context, pki::Validity};

use tokio::task::JoinSet;

use crate::fixture::{
    Answer, Api, Installation,
    api::{OPERATOR_HEADER, operator},
    audit::Log,
    eventually, key,
    listed::SecondCa,
    registered::OperatorCard,
};

/// The demonstration's operator, on another card.
const OPERATOR: &str = "RSSMRA80A01H501U/6090000000000021.c2lnaWxsbyBkZW1vIGNhcmQgMDI=";
/// A citizen, whose card comes from the same authority as an operator's.
const CITIZEN: &str = "RSSMRA75C22H501I/6090000000000039.c2lnaWxsbyBkZW1vIGNhcmQgMDM=";
const LOOK_UP: &str = "/v1/cards/lookup";

async fn look_up(api: &Api) -> Answer {
    api.post(LOOK_UP, None, &json!({ "team_number": "80380000104389020511" })).await
}

async fn not_let_in(api: &Api, who: &str) {
    let asked = api.send_as_is(Method::GET, "/v1/session", HeaderMap::new(), "").await;
    assert!(matches!(asked, Err(ClientError::CertificateRefused(_))), "{who}: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_of_the_connection_is_the_operator() {
    let home = Installation::shared().await;
    let direct = home.direct("operator");
    let session = direct.get("/v1/session").await.ok();
    assert_eq!((&session["front_end"], &session["registration"]), (&json!("direct"), &json!("registered")));
    assert_eq!(session["operator"]["id_carta"], "6090000000000013");
    // The policy gives what the file lists for `direct`, as far as rules allow it.
    let actions: Vec<_> = session["actions"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["look_up"]);

    let card = home.cards(1).await.remove(0);
    let found = direct.post(LOOK_UP, None, &card.printed()).await;
    assert_eq!(found.ok()["state"], "registered");
    let refused = direct.change("/v1/activations", &json!({})).await;
    refused.problem(403, "not_allowed");
    let audit = direct.get("/v1/audit/checkpoint").await;
    audit.problem(403, "not_allowed");
    let log = Log::read(&home.api("auditor")).await;
    let [event] = &log.by(&found)[..] else { panic!("one event") };
    assert_eq!((event.text("kind"), event.text("caller")), ("card.looked_up", "direct"));
    assert_eq!(event.text("operator").len(), 32);
    let [event] = &log.by(&refused)[..] else { panic!("one event") };
    assert_eq!((event.text("reason"), event.text("caller")), ("not_allowed", "direct"));

    // Who is there with a card forwards nobody, not even oneself.
    for name in [OPERATOR_HEADER, "client-cert-chain".parse().unwrap()] {
        let mut headers = HeaderMap::new();
        headers.insert(name, operator());
        let forged = direct.send_as_is(Method::GET, "/v1/session", headers, "").await.unwrap();
        forged.problem(403, "forged_client_cert");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_entrance_takes_the_certificates_of_the_other() {
    let home = Installation::shared().await;
    for caller in ["desk", "policy", "stranger", "forged"] {
        not_let_in(&home.direct(caller), caller).await;
    }
    not_let_in(&home.api("operator"), "operator").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_judged_with_each_request_and_its_holder_is_told() {
    let mut home = Installation::new();
    let ca = SecondCa::of(&home);
    let write =
        |name: &str, issued: &sigillo::pki::Issued| issued.write(&home.path("clients"), name).unwrap();
    let Validity { from_ms, to_ms } = ca.validity;
    let card = ca.card(OPERATOR);
    write("card", &card);
    write("holder", &ca.card(CITIZEN));
    write("past", &ca.issued(OPERATOR, Validity { from_ms, to_ms: from_ms + 60_000 }));
    write("future", &ca.issued(OPERATOR, Validity { from_ms: to_ms - 60_000, to_ms }));
    write("nameless", &ca.card("ROSSI MARIO"));
    home.start().await;

    let mut asked = Vec::new();
    for (name, code) in [
        ("holder", "unknown_operator"),
        ("past", "operator_expired"),
        ("future", "operator_not_yet_valid"),
        ("nameless", "operator_bad_common_name"),
    ] {
        let api = home.direct(name);
        let refused = api.get("/v1/session").await;
        refused.problem(403, code);
        gone(&home).await;
        // Whatever is asked for.
        api.get("/v1/audit/checkpoint").await.problem(403, "not_allowed");
        gone(&home).await;
        asked.push((refused, code));
    }
    let log = Log::read(&home.api("auditor")).await;
    for (refused, code) in asked {
        let [event] = &log.by(&refused)[..] else { panic!("one event") };
        assert_eq!((event.text("reason"), event.text("caller")), (code, "direct"));
    }
    home.disconnected().await;

    // However many requests come over one connection, one is an event.
    let before = metric(&home, "sigillo_connections_total").await;
    let citizen = Arc::new(home.direct("holder"));
    let mut asking = JoinSet::new();
    for _ in 0..60 {
        let citizen = Arc::clone(&citizen);
        asking.spawn(async move { citizen.send(Method::GET, "/v1/session", HeaderMap::new(), "").await });
    }
    let answers: Vec<_> = asking.join_all().await.into_iter().filter_map(Result::ok).collect();
    gone(&home).await;
    let logins = metric(&home, "sigillo_connections_total").await - before;
    let log = Log::read(&home.api("auditor")).await;
    let events = answers.iter().map(|answer| log.by(answer).len());
    assert_eq!(u64::try_from(events.sum::<usize>()).unwrap(), logins, "one for each login");
    for answer in &answers {
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        assert_eq!(code == "unknown_operator", log.by(answer).len() == 1, "{code}");
        assert!(["unknown_operator", "unknown_caller"].contains(&code.as_str()), "{code}");
    }
    // Nor does one who reads on in the description stay.
    citizen.get("/v1/openapi.json").await;
    gone(&home).await;
    home.disconnected().await;

    // First access, over one connection.
    let direct = home.direct("card");
    let before = metric(&home, "sigillo_connections_total").await;
    look_up(&direct).await.problem(403, "operator_other_card");
    let chip = OperatorCard::new(card.certificate_pem().as_bytes(), card.key_pem().as_bytes());
    let open = direct.change("/v1/operator-registrations", &json!({})).await;
    assert_eq!(open.status, 201, "{open:?}");
    let open = open.json();
    let signature = chip.sign(Context::OperatorRegistration, open["text"].as_str().unwrap());
    let path = format!("/v1/operator-registrations/{}/sign", open["id"].as_str().unwrap());
    direct.change(&path, &json!({ "signature": signature })).await.ok();
    look_up(&direct).await.problem(404, "card_not_found");
    // What is refused to an operator leaves the connection as it is.
    direct.get("/v1/audit/checkpoint").await.problem(403, "not_allowed");
    assert_eq!(metric(&home, "sigillo_connections_total").await, before + 1);

    // It is revoked while it is connected: refused, and sent away.
    ca.revokes(&home, 2, &[&card]);
    home.serve.as_ref().unwrap().hang_up();
    eventually("the new list", async || {
        let answer = look_up(&direct).await;
        (answer.status == 403).then(|| answer.problem(403, "operator_revoked"))
    })
    .await;
    gone(&home).await;
    look_up(&direct).await.problem(403, "operator_revoked");
}

async fn metric(home: &Installation, name: &str) -> u64 {
    let metrics = home.internal("/metrics").await.1;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

/// Waits until nobody is connected.
async fn gone(home: &Installation) {
    let open = async || metric(home, "sigillo_connections_open").await;
    eventually("the end of the connection", async || (open().await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_direct_caller_in_the_policy_a_card_may_do_nothing() {
    let mut home = Installation::new();
    let callers = home.path("authority/policies/callers.toml");
    let text = std::fs::read_to_string(&callers).unwrap();
    let (before, rest) = text.split_once("[[caller]]\nname = \"direct\"").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    std::fs::write(&callers, format!("{before}{after}")).unwrap();
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    home.start().await;
    let direct = home.direct("operator");
    for request in [look_up(&direct).await, direct.get("/v1/session").await] {
        request.problem(403, "unknown_caller");
    }
    // The other entrance is as it was.
    home.api("desk")
        .post(LOOK_UP, Some(&key()), &json!({ "team_number": "80380000104389020511" }))
        .await
        .problem(404, "card_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_need_not_have_the_entrance() {
    let mut home = Installation::new();
    let listen = format!("[direct]\nlisten = \"127.0.0.1:{}\"\n", home.ports().direct);
    home.edit("authority/serve.toml", &listen, "");
    home.start().await;
    let asked = home.direct("operator").send_as_is(Method::GET, "/v1/session", HeaderMap::new(), "").await;
    assert!(matches!(asked, Err(ClientError::Connect(_))), "{asked:?}");
    home.api("desk").get("/v1/session").await.problem(400, "operator_missing");
}
