//! A card's whole life, with authority, courier and relay as processes of their own, and the log that it leaves.

use std::fs;

use serde_json::json;

use crate::fixture::{
    Activated, Card, Installation,
    api::key,
    audit::Log,
    cards::wrong,
    demo::{CARDS, STARTS},
    eventually,
    process::Ran,
};

fn import(home: &Installation) -> Ran {
    home.sigillo_as("bureau", &["cards", "import"], &["--json", "cards.ndjson"]).ended(0)
}

fn verify(home: &Installation, arguments: &[&str]) -> Ran {
    let key = ["audit", "verify", "--public-key", "authority/public/audit.pub.pem"];
    home.sigillo(&[&key, arguments].concat())
}

/// The first card of the demonstration's batch: of Piemonte, whose C.I.P. is cut.
fn first_of_batch(home: &Installation) -> Card {
    let batch = fs::read_to_string(home.path("cards.ndjson")).unwrap();
    let line: serde_json::Value = serde_json::from_str(batch.lines().next().unwrap()).unwrap();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    Card { tax_code: text("tax_code"), team_number: text("team_number"), expires_on: text("expires_on") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_from_production_to_revocation() {
    let mut home = Installation::delivering().await;
    let desk = home.api("desk");
    let report: serde_json::Value = serde_json::from_str(&import(&home).out).unwrap();
    let came_to =
        ["lines", "registered", "unchanged", "rejected_lines", "warned_lines"].map(|name| &report[name]);
    assert_eq!(came_to, [&json!(CARDS), &json!(CARDS), &json!(0), &json!(0), &json!(0)]);
    assert_eq!([&report["rejected"], &report["warnings"]], [&json!([]), &json!([])]);
    let again: serde_json::Value = serde_json::from_str(&import(&home).out).unwrap();
    assert_eq!((&again["registered"], &again["unchanged"]), (&json!(0), &json!(CARDS)));

    // At the counter: the card is found by all three data, or by its number alone, and by nothing less.
    let card = first_of_batch(&home);
    let expected = json!({
        "state": "registered", "expires_on": card.expires_on, "expired": false, "region": "010",
        "template": "IT-010/1",
    });
    assert_eq!(card.look_up(&desk).await, expected);
    let by_number = json!({ "team_number": card.team_number });
    assert_eq!(desk.post("/v1/cards/lookup", None, &by_number).await.ok(), expected);
    let mut other_day = card.printed();
    other_day["expires_on"] = json!("2029-01-01");
    desk.post("/v1/cards/lookup", None, &other_day).await.problem(404, "card_not_found");

    let address = "mario.rossi@esempio.it";
    let mut preview = card.activation(address);
    preview["preview"] = json!(true);
    let shown = desk.post("/v1/activations", None, &preview).await.ok();
    assert_eq!(shown["card"], expected);
    let split = |first, second| json!({ "first": first, "second": second });
    assert_eq!(shown["codes"], json!({ "PIN": split(2, 3), "PUK": split(2, 6), "CIP": split(4, 4) }));
    assert_eq!(card.look_up(&desk).await["state"], "registered");

    // Activation; the same request again has the same answer and no second message.
    let once = key();
    let answer = desk.post("/v1/activations", Some(&once), &card.activation(address)).await;
    let active = Activated::new(&card, address, &answer);
    let replayed = desk.post("/v1/activations", Some(&once), &card.activation(address)).await;
    assert_eq!(replayed.ok(), answer.ok());
    let lengths = |parts: &std::collections::BTreeMap<String, String>| {
        parts.iter().map(|(code, part)| format!("{code}{}", part.len())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(lengths(&active.first_parts), "CIP4 PIN2 PUK2");
    let second = active.second_parts(&home).await;
    assert_eq!(lengths(&second), "CIP4 PIN3 PUK6");
    let delivery = format!("/v1/deliveries/{}", active.delivery);
    let looks = std::cell::Cell::new(0);
    let sent = eventually("the courier's last report", async || {
        looks.set(looks.get() + 1);
        Some(desk.get(&delivery).await.ok()).filter(|view| view["state"] == "sent")
    });
    let sent = sent.await;
    assert_eq!((&sent["attempts"], &sent["control"]), (&json!(1), &json!(active.control)));
    let found = card.look_up(&desk).await;
    assert_eq!((&found["state"], &found["cip_tries_left"]), (&json!("active"), &json!(5)));
    assert_eq!(found["delivery"], active.delivery);

    // Only both parts together are the code.
    let cip = active.cip(&home).await;
    assert_eq!(card.verify(&desk, &active.first_parts["CIP"]).await.0, "rejected");
    assert_eq!(card.look_up(&desk).await["cip_tries_left"], 4);
    let (outcome, useless) = card.verify(&desk, &wrong(&cip, 0)).await;
    assert_eq!(outcome, "rejected");
    let (outcome, proof) = card.verify(&desk, &cip).await;
    assert_eq!(outcome, "accepted");
    assert_eq!(card.look_up(&desk).await["cip_tries_left"], 5);

    // Revocation needs the accepted verification, and is final.
    let revocation = |proof: &str| card.revocation("verification", proof, "stolen");
    desk.change("/v1/revocations", &revocation(&useless)).await.problem(409, "no_accepted_verification");
    let once = key();
    let revoked = desk.post("/v1/revocations", Some(&once), &revocation(&proof)).await.ok();
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(desk.post("/v1/revocations", Some(&once), &revocation(&proof)).await.ok(), revoked);
    assert_eq!(card.look_up(&desk).await["state"], "revoked");
    desk.change("/v1/revocations", &revocation(&proof)).await.problem(409, "no_accepted_verification");
    desk.change("/v1/activations", &card.activation(address)).await.problem(409, "card_revoked");
    let reprint = card.reprint(address, "lost_paper");
    desk.change("/v1/reprints", &reprint).await.problem(409, "card_revoked");
    assert_eq!(card.verify(&desk, &cip).await.0, "rejected");
    assert_eq!(home.mails(address).len(), 1);

    // The log: exactly this, and it holds.
    let witness = home.api("auditor").get("/v1/audit/checkpoint").await.ok();
    fs::write(home.path("witness.txt"), witness["checkpoint"].as_str().unwrap()).unwrap();
    let out = ["--out", "audit.ndjson"];
    home.sigillo_as("auditor", &["audit", "export"], &out).ended(0);
    let export = fs::read_to_string(home.path("audit.ndjson")).unwrap();
    let log = Log::parse(&export);
    let expected = [
        (("audit.read", "done"), 2),
        (("card.activated", "done"), 1),
        (("card.activated", "intent"), 1),
        (("card.activated", "refused"), 1),
        (("card.looked_up", "done"), 8),
        (("card.looked_up", "refused"), 1),
        (("card.registered", "done"), CARDS),
        (("card.registered", "refused"), 1),
        (("card.revoked", "done"), 1),
        (("card.revoked", "intent"), 1),
        (("card.revoked", "refused"), 2),
        (("codes.reprinted", "refused"), 1),
        (("delivery.leased", "done"), 1),
        (("delivery.looked_up", "done"), looks.get()),
        (("delivery.queued", "done"), 1),
        (("delivery.reported", "done"), 2),
        // The operator's card was registered before, by a process of its own.
        (("operator.registered", "done"), 1),
        (("operator.registration_opened", "done"), 1),
        (("policy.activated", "done"), 1),
        (("request.replayed", "done"), 2),
        (("service.started", "done"), STARTS + 1),
        (("verification.decided", "accepted"), 1),
        (("verification.decided", "rejected"), 3),
        (("verification.spent", "intent"), 4),
    ];
    assert_eq!(log.count(), expected.into());
    let checks: Vec<_> = log.of("verification.decided").map(|event| event.text("checks")).collect();
    assert_eq!(checks, ["KAFST-", "KAFST-", "KAFSTM", "K-FSTM"]);
    for event in log.of("card.activated") {
        assert_eq!((event.text("caller"), event.text("policy").len()), ("desk", 64));
    }
    let said = verify(&home, &["--witness", "witness.txt", "audit.ndjson"]).ended(0).out;
    assert!(said.contains(&format!("log demo holds: {} events", log.0.len())), "{said}");
    // The API's own answer serves as it is.
    fs::write(home.path("witness.json"), witness.to_string()).unwrap();
    verify(&home, &["--witness", "witness.json", "audit.ndjson"]).ended(0);
    fs::write(home.path("witness.json"), "{}").unwrap();
    let said = verify(&home, &["--witness", "witness.json", "audit.ndjson"]).ended(1).err;
    assert!(said.contains("witness.json: not a checkpoint"), "{said}");
    tampered(&home, &export);

    for process in [&mut home.courier, &mut home.serve] {
        let process = process.as_mut().unwrap();
        process.terminate();
        assert_eq!(process.wait().await, Some(0), "{}", process.said());
    }
}

/// Every change to the export is found out, its missing end with the help of the witness.
fn tampered(home: &Installation, export: &str) {
    let lines: Vec<&str> = export.lines().collect();
    let middle = lines.len() / 2;
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n");
    let mut swapped = lines.clone();
    swapped.swap(middle, middle + 1);
    let last = lines.len() - 1;
    for (what, text) in [
        ("changed", export.replacen("\"outcome\":\"accepted\"", "\"outcome\":\"rejected\"", 1)),
        ("removed", without(middle)),
        ("moved", swapped.join("\n")),
        ("without its checkpoint", lines[..last].join("\n")),
        ("cut before its checkpoint", without(last - 1)),
        ("with a forged checkpoint", export.replacen("\\nseq ", "\\nseq 1", 1)),
        ("empty", String::new()),
    ] {
        assert_ne!(text.trim_end(), export.trim_end(), "{what}");
        fs::write(home.path("tampered.ndjson"), text + "\n").unwrap();
        let ran = verify(home, &["tampered.ndjson"]);
        assert!(ran.code == 1 && !ran.err.is_empty(), "{what}: {} {}", ran.code, ran.err);
    }
    // An older export is whole in itself; the newer witness tells.
    fs::write(home.path("witness-only.txt"), "no checkpoint\n").unwrap();
    verify(home, &["--witness", "witness-only.txt", "audit.ndjson"]).ended(1);
    verify(home, &["audit.ndjson", "no-such-option", "--nothing"]).ended(64);
}
