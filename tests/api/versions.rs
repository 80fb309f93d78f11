//! HTTP/1.1 and HTTP/2 give the same answers.

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};
use sigillo::tls::Protocols;

use crate::fixture::{Answer, Installation, api::json_with, key};

/// What must be the same: status, headers and body but for what differs from one request to the next.
fn essence(answer: &Answer) -> (u16, Vec<String>, Value) {
    let per_request = ["x-request-id", "date", "content-length"];
    let headers = answer.headers.iter().filter(|(name, _)| !per_request.contains(&name.as_str()));
    let mut headers: Vec<String> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    headers.sort();
    let mut body = answer.json();
    for name in ["request_id", "verification"] {
        body.as_object_mut().unwrap().remove(name);
    }
    (answer.status.as_u16(), headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_answer_alike() {
    let home = Installation::shared().await;
    let one = home.api_with("desk", Protocols::Http1, 1);
    let two = home.api_with("desk", Protocols::Http2, 1);
    let cards = home.cards(2).await;
    let activation = cards[0].activation("versioni@esempio.it");
    let mut preview = activation.clone();
    preview["preview"] = json!(true);
    let once = key();
    let post = Method::POST;
    for (method, path, headers, body, status) in [
        (&post, "/v1/cards/lookup", json_with(None), cards[0].printed(), 200),
        (&post, "/v1/activations", json_with(None), preview, 200),
        (&post, "/v1/activations", json_with(Some(&once)), activation, 200),
        (&post, "/v1/activations", json_with(Some(&once)), cards[1].activation("v@esempio.it"), 422),
        (&post, "/v1/activations", json_with(None), cards[1].activation("v@esempio.it"), 400),
        (&post, "/v1/verifications", json_with(Some(&key())), cards[1].guess("1234"), 200),
        (&post, "/v1/cards/lookup", json_with(None), json!({ "team_number": 1 }), 400),
        (&post, "/v1/cards", json_with(None), json!({}), 403),
        (&Method::GET, "/v1/nothing", HeaderMap::new(), json!({}), 404),
        (&Method::PUT, "/v1/cards", json_with(None), json!({}), 405),
    ] {
        let text = body.to_string();
        let ask = async |api: &crate::fixture::Api| {
            api.send(method.clone(), path, headers.clone(), text.clone()).await.unwrap()
        };
        let answers = [ask(&one).await, ask(&two).await];
        assert_eq!(answers[0].status, status, "{path} {:?}", answers[0]);
        assert_eq!(essence(&answers[0]), essence(&answers[1]), "{method} {path}");
        assert_ne!(answers[0].request(), answers[1].request());
    }
}

/// HEAD is no method of the API; its refusal has no content, and the connection goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_breaks_no_connection() {
    let home = Installation::shared().await;
    let card = home.cards(1).await.remove(0);
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let api = home.api_with("desk", protocols, 1);
        for path in ["/v1/cards/lookup", "/v1/openapi.json"] {
            let answer = api.send(Method::HEAD, path, HeaderMap::new(), "").await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0), "{path}");
            let allowed = if path.ends_with("json") { "GET" } else { "POST" };
            assert_eq!(answer.headers["allow"], allowed);
            assert_eq!(card.look_up(&api).await["state"], "registered");
        }
    }
}
