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
