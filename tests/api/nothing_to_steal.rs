//! No file, log, metric or export has a code, a part of one or a contact (I2, I3, I10).
//!
//! Parts of 20 digits cannot be there by chance, as parts of two or three would be.

use std::{fs, path::Path, sync::Arc};

use serde_json::json;

use crate::fixture::{Installation, demo::ALLOW_TEST_TEMPLATES, eventually};

const CARDS: usize = 20;

/// Every file below, with its bytes.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The shipped template with parts of 20 digits.
pub(crate) fn long_parts(home: &Installation) {
    for template in ["default", "trento", "piemonte"] {
        let file = format!("templates/{template}.toml");
        let text = fs::read_to_string(home.path("authority/policies").join(&file)).unwrap();
        let long = |line: &str| match line.split_once(" = ") {
            Some((part @ ("first" | "second"), _)) => format!("{part} = 20"),
            Some(("id", _)) => format!("{line}\ntest_only = true"),
            Some(_) | None => line.to_owned(),
        };
        let text = text.lines().map(long).collect::<Vec<_>>().join("\n");
        for side in ["authority/policies", "courier"] {
            fs::write(home.path(side).join(&file), &text).unwrap();
        }
    }
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    let config = fs::read_to_string(home.path("authority/serve.toml")).unwrap();
    fs::write(home.path("authority/serve.toml"), format!("{ALLOW_TEST_TEMPLATES}{config}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_and_no_contact_is_anywhere() {
    let mut home = Installation::new();
    home.log_level = "trace";
    long_parts(&home);
    home.start().await;
    home.start_courier();
    let desk = Arc::new(home.api("desk"));
    let active = home.many_activated(&desk, CARDS).await;
    let mut secrets = Vec::new();
    for active in &active {
        let second = active.second_parts(&home).await;
        let cip = active.cip(&home).await;
        assert_eq!(cip.len(), 40);
        assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");
        for part in active.first_parts.values().chain(second.values()) {
            assert_eq!(part.len(), 20);
            secrets.push(part.clone());
        }
        for printed in [&active.address, &active.card.tax_code, &active.card.team_number] {
            secrets.push(printed.clone());
        }
        // The last report purges the contact.
        let delivery = format!("/v1/deliveries/{}", active.delivery);
        eventually("the last report", async || {
            (desk.get(&delivery).await.ok()["state"] == "sent").then_some(())
        })
        .await;
    }
    assert_eq!(secrets.len(), CARDS * 9);
    // The text of an open approval is in the store: with numbers masked.
    let card = json!({ "team_number": active[0].card.team_number });
    let asked = json!({ "action": "revoke", "card": card, "reason": "lost" });
    assert_eq!(desk.change("/v1/approvals", &asked).await.status, 201);

    let mut found = vec![("/metrics".to_owned(), home.internal("/metrics").await.1.into_bytes())];
    home.sigillo_as("auditor", &["audit", "export"], &["--out", "audit.ndjson"]).ended(0);
    for process in [&mut home.courier, &mut home.serve] {
        let process = process.as_mut().unwrap();
        process.terminate();
        assert_eq!(process.wait().await, Some(0));
    }
    found.push(("export".into(), fs::read(home.path("audit.ndjson")).unwrap()));
    for directory in ["authority", "courier", "logs"] {
        files(&home.path(directory), &mut found);
    }
    // What is looked through is what is meant: events in the store, traces of both processes in the logs.
    let has = |path: &str, text: &str| {
        found.iter().any(|(name, bytes)| name.contains(path) && contains(bytes, text))
    };
    assert!(has("authority/store/", "\"kind\":\"card.activated\""));
    assert!(has("authority/store/", "front end: desk") && !has("export", "front end: desk"));
    assert!(has("authority/store/", &active[0].delivery) && has("export", &active[0].delivery));
    assert!(
        has("courier/state/", "\"kind\":\"lease.admitted\"") && has("courier/state/", &active[0].delivery)
    );
    assert!(has("-serve.err", "serving") && has("-courier.err", "courier started"));
    assert!(has("-serve.err", "TRACE") || has("-serve.err", "DEBUG"), "the log says everything it can");
    for secret in &secrets {
        for (name, bytes) in &found {
            assert!(!contains(bytes, secret), "{name} holds {secret}");
        }
    }
    assert!(home.directory().exists());
}
