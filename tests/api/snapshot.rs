//! A machine put back to yesterday, its store and its token with it: the courier alone knows better, and its next lease ends
//! `serve` before a guess is given back (I13).

use std::fs;

use crate::fixture::{Installation, cards::wrong, demo::copy_all, eventually};

const STORE: &str = "authority/store";
const TOKENS: &str = "authority/tokens";
const KEY: &str = "authority/public/audit.pub.pem";

fn copy(home: &Installation, from: &str, to: &str) {
    let to = home.path(to);
    fs::create_dir(&to).unwrap();
    copy_all(&home.path(from), &to);
}

/// Puts a copy in the place of a directory that stays as a whole: the token's is named by its configuration.
fn put(home: &Installation, from: &str, to: &str) {
    fs::remove_dir_all(home.path(to)).unwrap();
    copy(home, from, to);
}

/// A number of the internal listener.
async fn metric(home: &Installation, name: &str) -> u64 {
    let (_, metrics) = home.internal("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" 0");
    line.trim().parse().unwrap()
}

/// Waits until the token vouches for all that has happened, and the courier has been told so.
async fn kept(home: &Installation) {
    eventually("a checkpoint in the token", async || {
        (metric(home, "sigillo_checkpoint_behind_events").await == 0).then_some(())
    })
    .await;
    let leases = "sigillo_requests_total{class=\"2xx\",route=\"leases\"}";
    let before = metric(home, leases).await;
    // The second one from here begins after the checkpoint, and the third after the second's answer was kept.
    eventually("the courier's leases", async || (metric(home, leases).await >= before + 3).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_and_token_put_back_together_are_found_by_the_couriers_lease() {
    let mut home = Installation::delivering().await;
    let active = home.activated(&home.api("desk")).await;
    let cip = active.cip(&home).await;
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    copy(&home, STORE, "store-of-yesterday");
    copy(&home, TOKENS, "tokens-of-yesterday");

    home.start().await;
    for n in 0..3 {
        assert_eq!(active.card.verify(&home.api("desk"), &wrong(&cip, n)).await.0, "rejected");
    }
    kept(&home).await;
    home.sigillo_as("auditor", &["audit", "export"], &["--out", "audit.ndjson"]).ended(0);
    home.serve.as_mut().unwrap().kill();
    copy(&home, STORE, "store-of-today");

    put(&home, "store-of-yesterday", STORE);
    put(&home, "tokens-of-yesterday", TOKENS);
    // The token agrees with the store, and the start passes.
    let mut serve = home.spawn("serve", "authority/serve.toml");
    assert_eq!(serve.wait().await, Some(65), "{}", serve.said());
    for part in ["\"serving\"", "the courier keeps a newer checkpoint", "sigillo recover plan"] {
        let part = part.trim_matches('"');
        assert!(serve.said().contains(part), "{part:?} is missing in {}", serve.said());
    }
    // From now on the token knows too, and no start passes.
    let again = home.sigillo(&["serve", "--config", "authority/serve.toml"]).ended(1).err;
    assert!(again.contains("the store is older than the newest checkpoint"), "{again}");
    home.sigillo(&["audit", "export-store", "--store", STORE, "--out", "back.ndjson"]).ended(0);
    let log = fs::read_to_string(home.path("back.ndjson")).unwrap();
    assert_eq!(log.matches("\"kind\":\"store.gone_back\"").count(), 1);
    assert_eq!(log.matches("\"kind\":\"verification.spent\"").count(), 0, "nothing was tried meanwhile");

    // What the courier keeps is a witness like any other.
    home.courier.as_mut().unwrap().terminate();
    assert_eq!(home.courier.as_mut().unwrap().wait().await, Some(0));
    let witness = ["audit", "witness", "--store", "courier/state", "--out", "kept.txt"];
    assert!(home.sigillo(&witness).ended(0).out.contains("the checkpoint of event"));
    let verify = ["audit", "verify", "--public-key", KEY, "--witness", "kept.txt", "audit.ndjson"];
    assert!(home.sigillo(&verify).ended(0).out.contains("1 checkpoints kept elsewhere agree"));
    // Even for a token that was put back once more.
    put(&home, "tokens-of-yesterday", TOKENS);
    let config = ["--config", "authority/serve.toml"];
    let plan = [&["recover", "plan"], &config[..], &["--without-events", "--out", "order.txt"]].concat();
    assert!(home.sigillo(&plan).ended(1).err.contains("start `sigillo serve`"));
    let plan = [&plan[..], &["--witness", "kept.txt"]].concat();
    assert!(home.sigillo(&plan).ended(0).out.contains("why: the store is older than the newest checkpoint"));

    // The right store is as good as before, and so are the guesses.
    put(&home, "store-of-today", STORE);
    home.start().await;
    assert_eq!(active.card.look_up(&home.api("desk")).await["cip_tries_left"], 2);
}
