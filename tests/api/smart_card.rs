//! The whole way of an operator's smart card: chip, reader, pcscd, PKCS#11 or our own program, TLS 1.3, and the real
//! authority.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sigillo_vcard::{
    card::PIN,
    cns::{ID_CARTA, TAX_CODE},
};

use crate::fixture::{
    audit::Log,
    counter::{Scene, done},
};

#[track_caller]
fn refused(output: &Output, code: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(code), "{said}");
    assert!(!said.contains(PIN), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_logs_in_is_registered_and_serves_curl_through_opensc() {
    let scene = Scene::new("\"counter_operator\"").await;
    let session = scene.session().await;
    assert_eq!((&session["registration"], &session["actions"]), (&json!("none"), &json!([])));
    assert_eq!(
        (&session["front_end"], &session["operator"]["id_carta"]),
        (&json!("direct"), &json!(ID_CARTA))
    );

    assert_eq!(done(&scene.card("register", &[]).await)["replaced"], false);
    let session = scene.session().await;
    assert_eq!(session["registration"], "registered");
    assert_eq!(session["actions"][0]["action"], "look_up");

    // The same card through OpenSC, which knows real ones.
    let body = json!({ "team_number": "80380000104389020511" }).to_string();
    let curl = |path: &str, more: &[&str]| {
        let mut curl = scene.station.curl(path);
        curl.args(["--write-out", "\n%{http_version} %{http_code}"]).args(more);
        curl
    };
    let answered = async |command: Command| {
        let output = scene.station.run(command).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (serde_json::from_str::<Value>(body).unwrap(), status.to_owned())
    };
    let (session, status) = answered(curl("/v1/session", &[])).await;
    assert_eq!((&session["registration"], status.as_str()), (&json!("registered"), "2 200"));
    let look_up = curl("/v1/cards/lookup", &["-H", "Content-Type: application/json", "-d", &body]);
    let (found, status) = answered(look_up).await;
    assert_eq!((&found["code"], status.as_str()), (&json!("card_not_found"), "2 404"));

    // Who is no longer on the list is told so.
    let listed = format!(
        "tax_code = \"{TAX_CODE}\"\noffice = \"demo-office\"\nroles = [\"counter_operator\"]\nvalid_from = \"2020-01-01\"\nvalid_to = \"2099"
    );
    scene.home.edit("authority/policies/operators.toml", &listed, &listed.replace("2099", "2020"));
    scene.home.edit("authority/policies/authority.toml", "\nsequence = 2\n", "\nsequence = 3\n");
    scene.home.api("policy").post("/v1/policy/reload", None, &json!({})).await.ok();
    refused(&scene.card("login", &[]).await, "unknown_operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_approves_what_a_colleague_asks_for_and_nothing_twice() {
    let scene = Scene::new("\"supervisor\"").await;
    done(&scene.card("register", &[]).await);
    let desk = scene.home.api("desk");
    let citizen = scene.home.activated(&desk).await;
    let wanted =
        json!({ "action": "revoke", "card": { "team_number": citizen.card.team_number }, "reason": "lost" });
    let asked = desk.change("/v1/approvals", &wanted).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let body = citizen.card.revocation("approval", &id, "lost");
    desk.change("/v1/revocations", &body).await.problem(409, "approval_not_signed");

    // Nobody is asked where there is no terminal, and nothing is signed then.
    let unasked = scene.card("approve", &[&id]).await;
    assert_ne!(unasked.status.code(), Some(0));
    desk.change("/v1/revocations", &body).await.problem(409, "approval_not_signed");
    let signed = scene.card("approve", &["--yes", &id]).await;
    assert_eq!(done(&signed)["state"], "signed");
    let shown = String::from_utf8_lossy(&signed.stderr);
    assert!(shown.contains("Sigillo, approval v1") && shown.contains("lost"), "{shown}");
    refused(&scene.card("approve", &["--yes", &id]).await, "not open");
    let revoked = desk.change("/v1/revocations", &body).await;
    revoked.ok();
    let log = Log::read(&scene.home.api("auditor")).await;
    let kinds: Vec<_> = log.0.iter().map(|event| event.text("kind").to_owned()).collect();
    for kind in ["operator.registered", "approval.signed", "card.revoked"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind} is not in {kinds:?}");
    }
}
