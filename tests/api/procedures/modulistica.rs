//! Modulistica: choose the document, see it on the screen, print it.

use std::collections::BTreeSet;

use hyper::{HeaderMap, Method, header::IF_NONE_MATCH};
use serde_json::Value;

use crate::fixture::{Answer, Api, Installation, api::json_with};

/// Asks with the tag of an answer that is kept.
async fn again(api: &Api, path: &str, tag: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(IF_NONE_MATCH, tag.parse().unwrap());
    api.send(Method::GET, path, headers, "").await.unwrap()
}

/// The document with its fields filled in, as a front end prints it.
fn filled(text: &Value) -> String {
    let mut body = text["body"].as_str().unwrap().to_owned();
    for field in text["fields"].as_array().unwrap() {
        let with = match field["type"].as_str().unwrap() {
            "tax_code" => "RSSMRA80H55D612G",
            "team_number" => "80380000601234567893",
            "date" => "31/05/2031",
            "boolean" => "[X]",
            "signature" => "____________________",
            _ => "testo",
        };
        body = body.replace(&format!("{{{{{}}}}}", field["name"].as_str().unwrap()), with);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_chosen_shown_and_printed() {
    let home = Installation::shared().await;
    let desk = home.api("desk");

    // 1. Choose the document.
    let list = desk.get("/v1/forms").await.ok();
    let ids: BTreeSet<&str> =
        list["texts"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    let shipped = [
        "activation-request",
        "declaration-curator",
        "declaration-guardian",
        "declaration-health-impediment",
        "declaration-parental-authority",
        "delegation",
        "fse-consents",
        "reader-request",
        "revocation-request",
    ];
    assert_eq!(ids, shipped.into_iter().collect());

    // 2. It is shown on the screen, ready to be printed.
    for entry in list["texts"].as_array().unwrap() {
        let text = desk.get(&format!("/v1/forms/{}", entry["id"].as_str().unwrap())).await.ok();
        for name in ["id", "title", "version", "language", "function"] {
            assert_eq!(text[name], entry[name]);
        }
        let printed = filled(&text);
        assert!(!printed.contains("{{"), "{printed}");
        assert!(printed.contains("____") && printed.contains("RSSMRA80H55D612G"), "{printed}");
        let is_declaration = entry["id"].as_str().unwrap().starts_with("declaration-");
        assert_eq!(printed.contains("28 dicembre 2000, n. 445"), is_declaration, "{printed}");
    }
    let activation = desk.get("/v1/forms/activation-request").await.ok();
    let body = activation["body"].as_str().unwrap();
    assert!(
        body.contains("Articolo 13 del Regolamento (UE) 2016/679") && body.contains("{{data_processing}}")
    );
    assert!(
        !desk.get("/v1/forms/revocation-request").await.ok().to_string().contains("{{cip"),
        "never on paper"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_kept_until_the_policy_set_changes() {
    let home = Installation::serving().await;
    let desk = home.api("desk");
    let path = "/v1/forms/reader-request";
    let first = desk.get(path).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.headers["cache-control"], "private, no-cache");
    let kept = again(&desk, path, &tag).await;
    assert_eq!((kept.status.as_u16(), kept.body.len()), (304, 0), "{kept:?}");
    assert_eq!(kept.headers["etag"], tag.as_str());
    assert_eq!(again(&desk, path, "\"another\"").await.status, 200);

    let form = "authority/policies/texts/forms/reader-request.md";
    home.edit(form, "# Richiesta del lettore\n", "# Richiesta del lettore della Regione\n");
    home.edit(form, "version = 1", "version = 2");
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    let reloaded = home.api("policy").send(Method::POST, "/v1/policy/reload", HeaderMap::new(), "").await;
    assert_eq!(reloaded.unwrap().ok()["changed"], true);
    let changed = again(&desk, path, &tag).await;
    assert_ne!(changed.headers["etag"], tag.as_str());
    let text = changed.ok();
    assert_eq!(text["version"], 2);
    assert!(text["body"].as_str().unwrap().contains("della Regione"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_in_the_operators_language() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    desk.get("/v1/forms/altro").await.problem(404, "text_not_found");
    home.api("bureau").get("/v1/forms").await.problem(403, "not_allowed");

    let mut headers = json_with(None);
    headers.insert("accept-language", "it-IT,it;q=0.9,en;q=0.8".parse().unwrap());
    let answer = desk.send(Method::GET, "/v1/forms/altro", headers.clone(), "").await.unwrap();
    answer.problem(404, "text_not_found");
    assert_eq!(answer.json()["title"], "Nessun testo con questo identificativo");
    assert_eq!(
        (&answer.headers["content-language"], &answer.headers["vary"]),
        (&"it".parse().unwrap(), &"accept-language".parse().unwrap())
    );
    let body = serde_json::json!({ "team_number": "8038000060123456789" }).to_string();
    let answer = desk.send(Method::POST, "/v1/cards/lookup", headers, body).await.unwrap();
    assert_eq!(answer.problem(422, "invalid_value").as_deref(), Some("$.team_number"));
    assert_eq!(answer.json()["title"], "Un valore non è accettabile");
    assert_eq!(answer.json()["detail"], "il numero deve avere 20 cifre");
}
