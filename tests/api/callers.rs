//! Who may call, and that every refusal is an event (I7, I8).

use hyper::Method;
use sigillo::{routes::ROUTES, tls::Protocols};

use crate::fixture::{Answer, Api, Installation, api::json_with, audit::Log, eventually};

/// The action that a route needs; nothing for what everybody with a certificate may read.
fn action(route: &str) -> Option<&'static str> {
    Some(match route {
        "cards" => "register",
        "cards_export" => "export_cards",
        "lookup" => "look_up",
        "history" => "read_history",
        "statistics" => "read_reports",
        "activations" => "activate",
        "reprints" => "reprint",
        "verifications" => "verify",
        "revocations" => "revoke",
        "unlocks" => "unlock",
        "cip_renewals" => "renew_cip",
        "approvals" => "ask_approval",
        "approval" | "approval_sign" => "approve",
        "deliveries" => "read_delivery",
        "contacts" => "change_contact",
        "resend" => "resend_delivery",
        "form" | "forms" | "guide" | "guide_page" => "read_texts",
        "leases" | "reports" => "courier",
        "consents" => "record_consents",
        "reader_requests" => "request_reader",
        "reader_stock" => "stock_readers",
        "self_renewals" => "renew_self",
        "consents_lookup" => "read_consents",
        "audit_checkpoint" | "audit_events" => "read_audit",
        "backup" => "backup",
        "deregistration" => "deregister_operator",
        "open_registration" | "sign_registration" => "register_operator",
        "policy_reload" => "reload_policy",
        "session" => "session",
        "openapi" => return None,
        other => panic!("the route {other} is new: who may use it?"),
    })
}

/// Asks without a body.
async fn ask(api: &Api, method: &str, path: &str) -> Answer {
    let path = path.replace("{id}", &"0".repeat(32));
    api.send(method.parse::<Method>().unwrap(), &path, json_with(None), "").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_reaches_what_the_policy_gives_it_and_nothing_else() {
    let home = Installation::shared().await;
    let mut refused = Vec::new();
    for (caller, may) in [
        ("bureau", &["register"][..]),
        (
            "desk",
            &[
                "activate",
                "approve",
                "ask_approval",
                "change_contact",
                "look_up",
                "read_consents",
                "read_delivery",
                "read_history",
                "read_reports",
                "read_texts",
                "record_consents",
                "register_operator",
                "renew_cip",
                "reprint",
                "resend_delivery",
                "request_reader",
                "revoke",
                "session",
                "unlock",
                "stock_readers",
                "verify",
            ],
        ),
        ("courier", &["courier"]),
        ("auditor", &["read_audit"]),
        ("backup", &["backup"]),
        ("personalisation", &["export_cards"]),
        ("policy", &["deregister_operator", "reload_policy"]),
        ("portal", &["read_delivery", "renew_self"]),
    ] {
        let api = home.api(caller);
        for &(method, path, route) in ROUTES {
            let route = route.name();
            let answer = ask(&api, method, path).await;
            match action(route) {
                Some(action) if !may.contains(&action) => {
                    assert_eq!(answer.problem(403, "not_allowed"), None, "{caller} {path}");
                    refused.push((caller, route, answer));
                }
                // The front end may; its operator is no supervisor.
                Some("approve" | "read_reports" | "stock_readers") => {
                    drop(answer.problem(403, "operator_not_allowed"))
                }
                Some(_) | None => assert_ne!(answer.status, 403, "{caller} {path}"),
            }
        }
    }
    // Each action is one caller's, but that deliveries are shown to two.
    assert_eq!(refused.len(), 7 * (ROUTES.len() - 1) - 1, "of eight callers");
    let log = Log::read(&home.api("auditor")).await;
    for (caller, route, answer) in refused {
        let [event] = log.by(&answer)[..] else { panic!("one event for {caller} {route}") };
        for (name, value) in [
            ("kind", "request.refused"),
            ("outcome", "refused"),
            ("reason", "not_allowed"),
            ("caller", caller),
            ("operation", route),
        ] {
            assert_eq!(event.text(name), value, "{event:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_policy_does_not_name_may_do_nothing() {
    let home = Installation::shared().await;
    let stranger = home.api("stranger");
    let mut refused = Vec::new();
    for &(method, path, route) in ROUTES {
        let route = route.name();
        let answer = ask(&stranger, method, path).await;
        match action(route) {
            Some(_) => {
                assert_eq!(answer.problem(403, "unknown_caller"), None, "{path}");
                refused.push((route, answer));
            }
            None => assert_eq!(answer.status, 200),
        }
    }
    let log = Log::read(&home.api("auditor")).await;
    for (route, answer) in refused {
        let [event] = log.by(&answer)[..] else { panic!("one event for {route}") };
        let members = ["kind", "outcome", "reason", "caller", "operation"].map(|name| event.text(name));
        assert_eq!(members, ["request.refused", "refused", "unknown_caller", "", route]);
        assert_eq!(event.text("certificate").len(), 64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_gets_no_connection() {
    let home = Installation::shared().await;
    let failed = async || {
        let text = home.internal("/metrics").await.1;
        let lines = text.lines().filter(|line| line.starts_with("sigillo_handshakes_failed_total"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = failed().await;
    // Its names are those of the real one: only the key that signed it differs.
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let forged = home.api_with("forged", protocols, 1);
        // With TLS 1.3 the client hears of it only after it has begun to write.
        forged.try_post("/v1/cards/lookup", None, &serde_json::json!({})).await.unwrap_err();
    }
    eventually("two handshakes that failed", async || (failed().await >= before + 2).then_some(())).await;
}
