//! Operators' certificates through the API: who may forward them, and what is said of bad ones.

use hyper::{HeaderMap, Method, header::HeaderName};
use serde_json::json;
use sigillo::{
    clock::{Clock, SystemClock},
    pki::{Ca, Validity},
};

use crate::fixture::{
    Installation,
    api::{OPERATOR_HEADER, forwarded, json_with, operator},
    eventually,
    listed::SecondCa,
    registered::OperatorCard,
};

const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

fn headers(edit: impl FnOnce(&mut HeaderMap)) -> HeaderMap {
    let mut headers = json_with(None);
    edit(&mut headers);
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_named_front_end_forwards_operators_and_only_good_certificates() {
    let home = Installation::shared().await;
    let card = home.cards(1).await.remove(0);
    let body = card.printed().to_string();
    let path = "/v1/cards/lookup";

    // Any use of the headers by others is refused, whatever they ask for, before anything else is looked at.
    for (caller, path) in [("bureau", "/v1/cards"), ("auditor", "/v1/audit/checkpoint"), ("courier", path)] {
        let api = home.api(caller);
        let method = if path.starts_with("/v1/audit") { Method::GET } else { Method::POST };
        for name in [OPERATOR_HEADER, CHAIN] {
            let forged = headers(|h| {
                h.remove(OPERATOR_HEADER);
                h.insert(name, operator());
            });
            let answer = api.send_as_is(method.clone(), path, forged, body.clone()).await.unwrap();
            answer.problem(403, "forged_client_cert");
        }
    }

    let now_ms = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
    let name = "RSSMRA80A01H501U/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE=";
    // The same name and the same authority's name, but another key.
    let impostor = Ca::new("Demo CA cards", validity).unwrap().card(name, validity).unwrap();
    let stranger = Ca::new("CA Altra", validity).unwrap().card(name, validity).unwrap();
    let (impostor, stranger) = (impostor.certificate_pem(), stranger.certificate_pem());
    let own = std::fs::read(home.path("clients/desk.pem")).unwrap();
    let desk = home.api("desk");
    let mut twice = json_with(None);
    twice.append(OPERATOR_HEADER, operator());
    let five = vec![operator().to_str().unwrap().to_owned(); 5].join(", ");
    for (case, status, code) in [
        (
            headers(|h| drop(h.insert(OPERATOR_HEADER, forwarded(impostor.as_bytes())))),
            403,
            "operator_bad_signature",
        ),
        (
            headers(|h| drop(h.insert(OPERATOR_HEADER, forwarded(stranger.as_bytes())))),
            403,
            "operator_unknown_ca",
        ),
        (headers(|h| drop(h.insert(OPERATOR_HEADER, forwarded(&own)))), 403, "operator_missing_policy"),
        (headers(|h| drop(h.insert(OPERATOR_HEADER, ":AAAA:".parse().unwrap()))), 403, "operator_malformed"),
        (headers(|h| drop(h.insert(CHAIN, five.parse().unwrap()))), 403, "operator_chain_too_long"),
        (twice, 400, "bad_client_cert"),
        (headers(|h| drop(h.insert(OPERATOR_HEADER, "".parse().unwrap()))), 400, "bad_client_cert"),
    ] {
        desk.send(Method::POST, path, case, body.clone()).await.unwrap().problem(status, code);
    }
    let with_chain = headers(|h| drop(h.insert(CHAIN, operator())));
    desk.send(Method::POST, path, with_chain, body.clone()).await.unwrap().ok();
    assert_eq!(desk.post(path, None, &card.printed()).await.ok()["state"], json!("registered"));
}

/// A set that comes into force by the API: the operators of a new authority are let in from the answer on, and the log says
/// which set it is.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_a_new_authority_are_read_before_the_set_is_said_to_be_in_force() {
    let home = Installation::serving().await;
    let ca = SecondCa::new();
    let card = ca.card("RSSMRA80A01H501U/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE=");
    let card = OperatorCard::new(card.certificate_pem().as_bytes(), card.key_pem().as_bytes());
    let (desk, policy) = (home.api("desk"), home.api("policy"));
    card.session(&desk).await.problem(403, "operator_unknown_ca");
    ca.believed(&home);
    let set = policy.post("/v1/policy/reload", None, &json!({})).await.ok();
    assert_eq!((&set["changed"], &set["sequence"]), (&json!(true), &json!(2)));
    assert_eq!(
        card.session(&desk).await.ok()["registration"],
        "other",
        "known, with another card than before"
    );
    let said = home.serve.as_ref().unwrap().said();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("another policy set is in force")).collect();
    let [line] = &lines[..] else { panic!("{said}") };
    assert!(line.contains("INFO") && line.contains(set["policy"].as_str().unwrap()), "{line}");
    assert!(line.contains("sequence=2"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_a_new_list_revokes_is_refused_without_a_restart() {
    let mut home = Installation::new();
    let now_ms = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
    let ca = Ca::new("CA di prova", validity).unwrap();
    let name = "RSSMRA80A01H501U/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE=";
    let card = ca.card(name, validity).unwrap();
    let trust = home.path("authority/policies/trust.toml");
    let text = std::fs::read_to_string(&trust).unwrap();
    let (rules, _) = text.split_once("[[ca]]").unwrap();
    let table =
        format!("[[ca]]\nname = \"prova\"\ncertificate = '''\n{}'''\ncrls = [\"prova.crl\"]\n", ca.pem());
    std::fs::write(&trust, format!("{rules}{table}")).unwrap();
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    home.start().await;

    let desk = home.api("desk");
    let ask = || {
        let with = headers(|h| drop(h.insert(OPERATOR_HEADER, forwarded(card.certificate_pem().as_bytes()))));
        let body = json!({ "team_number": "80380000104389020511" }).to_string();
        desk.send(Method::POST, "/v1/cards/lookup", with, body)
    };
    ask().await.unwrap().problem(403, "operator_crl_missing");
    let told = async |list: String, status: u16, code: &'static str| {
        std::fs::write(home.path("authority/crls/prova.crl"), list).unwrap();
        home.serve.as_ref().unwrap().hang_up();
        eventually("the new list", async || {
            let answer = ask().await.unwrap();
            (answer.json()["code"] == code).then(|| answer.problem(status, code))
        })
        .await;
    };
    // It is good now, and not the one that the operator has registered.
    told(ca.crl(1, &[], validity).unwrap(), 403, "operator_other_card").await;
    told(ca.crl(2, &[&card], validity).unwrap(), 403, "operator_revoked").await;
}
