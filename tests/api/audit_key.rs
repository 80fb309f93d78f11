//! The audit key is replaced in the middle of a log: it verifies under either key, everybody who kept something from before goes on, and
//! a replacement that was cut off is taken up (I8, I13).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::fixture::{Installation, audit::Log, cards::wrong, demo::copy_all, eventually};

const FORMER: &str = "authority/public/audit.pub.pem";
const STORE: &str = "authority/store";
const TOKENS: &str = "authority/tokens";

fn replace(out: &str) -> [&str; 6] {
    ["audit", "replace-key", "--config", "authority/serve.toml", "--out", out]
}

async fn stop(home: &mut Installation) {
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
}

/// A checkpoint as an auditor keeps it.
async fn kept(home: &Installation, file: &str) {
    let checkpoint = home.api("auditor").get("/v1/audit/checkpoint").await.ok();
    fs::write(home.path(file), checkpoint.to_string()).unwrap();
}

fn export(home: &Installation, file: &str) -> Log {
    home.sigillo_as("auditor", &["audit", "export"], &["--out", file]).ended(0);
    Log::parse(&fs::read_to_string(home.path(file)).unwrap())
}

/// The objects of the authority's token, by the names of their files.
fn objects(tokens: &Path) -> BTreeSet<PathBuf> {
    let token = fs::read_dir(tokens).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let all = fs::read_dir(token.unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let objects = all.filter(|path| path.extension().is_some_and(|kind| kind == "object"));
    objects.map(|path| path.strip_prefix(tokens).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_on_under_another_audit_key_and_so_does_everybody() {
    let mut home = Installation::delivering().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    assert_eq!(active.card.verify(&desk, &wrong(&cip, 0)).await.0, "rejected");
    kept(&home, "before.json").await;
    let said = home.sigillo(&replace("new.pub.pem")).ended(1).err;
    assert!(said.contains("already open"), "`serve` runs: {said}");
    stop(&mut home).await;
    let before = objects(&home.path(TOKENS));
    let said = home.sigillo(&replace("new.pub.pem")).ended(0).out;
    assert!(said.contains("whose private half is destroyed"), "{said}");
    let again = home.sigillo(&replace("new.pub.pem")).ended(1).err;
    assert!(again.contains("nothing was changed"), "{again}");

    // The token has the new key and the former one's public half.
    let after = objects(&home.path(TOKENS));
    assert_eq!((before.difference(&after).count(), after.difference(&before).count()), (1, 2));
    let status = home.sigillo(&["hsm", "status", "--config", "authority/hsm.toml", "--json"]).ended(0).out;
    let status: Value = serde_json::from_str(&status).unwrap();
    let keys = status["keys"].as_array().unwrap();
    let versions: Vec<_> = keys.iter().map(|key| (key["name"].as_str().unwrap(), &key["version"])).collect();
    assert!(
        versions.contains(&("audit", &2.into())) && versions.contains(&("print", &1.into())),
        "{versions:?}"
    );
    let file = fs::read_to_string(home.path("new.pub.pem")).unwrap();
    let former = fs::read_to_string(home.path(FORMER)).unwrap();
    assert!(
        file.ends_with(&former)
            && file.matches("BEGIN PUBLIC KEY").count() == 2
            && !file.starts_with(&former)
    );

    // The courier takes nothing from a key that it is not told of.
    home.start().await;
    let desk = home.api("desk");
    eventually("a courier that refuses the new key", async || {
        home.courier.as_ref().unwrap().said().contains("checkpoint_not_signed").then_some(())
    })
    .await;
    home.courier.as_mut().unwrap().terminate();
    assert_eq!(home.courier.as_mut().unwrap().wait().await, Some(0));
    fs::copy(home.path("new.pub.pem"), home.path("courier/authority-audit.pub.pem")).unwrap();
    home.start_courier();
    let second = home.activated(&desk).await;
    let other = second.cip(&home).await;
    assert_eq!(second.card.verify(&desk, &other).await.0, "accepted");
    // What was presented under the former key is this log's, and no try came back.
    assert_eq!(active.card.verify(&desk, &wrong(&cip, 1)).await.0, "rejected");
    assert_eq!(active.card.look_up(&desk).await["cip_tries_left"], 3);
    kept(&home, "after.json").await;

    let log = export(&home, "audit.ndjson");
    let replaced: Vec<_> = log.of("audit.key_replaced").collect();
    assert!(replaced.len() == 1 && log.of("store.gone_back").count() == 0);
    assert!(replaced[0].seq() > 10 && log.0.len() > usize::try_from(replaced[0].seq()).unwrap() + 5);
    for key in [FORMER, "new.pub.pem"] {
        let verify =
            ["audit", "verify", "--public-key", key, "--witness", "before.json", "--witness", "after.json"];
        let said = home.sigillo(&[&verify[..], &["audit.ndjson"]].concat()).ended(0).out;
        assert!(said.contains("number 2 of this log; 2 checkpoints kept elsewhere agree"), "{said}");
    }
    // The courier's own log is of its own key.
    let stranger = ["audit", "verify", "--public-key", "courier/public/audit.pub.pem", "audit.ndjson"];
    assert!(home.sigillo(&stranger).ended(1).err.contains("none of the 2"));
    // Taken out, the handover is missed.
    let text = fs::read_to_string(home.path("audit.ndjson")).unwrap();
    let without =
        text.lines().filter(|line| !line.contains("audit.key_replaced")).collect::<Vec<_>>().join("\n");
    fs::write(home.path("without.ndjson"), without).unwrap();
    home.sigillo(&["audit", "verify", "--public-key", FORMER, "without.ndjson"]).ended(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_was_cut_off_is_taken_up_where_it_ended() {
    let mut home = Installation::serving().await;
    home.activated(&home.api("desk")).await;
    kept(&home, "before.json").await;
    stop(&mut home).await;
    let copy = |home: &Installation, from: &str, to: &str| {
        fs::create_dir_all(home.path(to)).unwrap();
        copy_all(&home.path(from), &home.path(to));
    };
    copy(&home, STORE, "0/store");
    copy(&home, TOKENS, "0/tokens");
    home.sigillo(&replace("new.pub.pem")).ended(0);
    let file = fs::read_to_string(home.path("new.pub.pem")).unwrap();
    copy(&home, STORE, "1/store");
    copy(&home, TOKENS, "1/tokens");

    // Store, token, and the token that lends the other one the keys that it lacks; the file's name.
    for (n, (store, token, lender, out)) in [
        // The new key is made, and not in the log.
        ("0/store", "0/tokens", "1/tokens", "first.pub.pem"),
        // It is in the log, and the token still has the former key's checkpoints.
        ("1/store", "0/tokens", "1/tokens", "second.pub.pem"),
        // The checkpoints and the file are there, and the former key is.
        ("1/store", "1/tokens", "0/tokens", "new.pub.pem"),
    ]
    .into_iter()
    .enumerate()
    {
        for (from, to) in [(store, STORE), (token, TOKENS)] {
            fs::remove_dir_all(home.path(to)).unwrap();
            copy(&home, from, to);
        }
        let missing =
            objects(&home.path(lender)).difference(&objects(&home.path(TOKENS))).cloned().collect::<Vec<_>>();
        for object in &missing {
            // With its lock file, without which SoftHSM does not destroy it.
            for file in [object.clone(), object.with_extension("lock")] {
                fs::copy(home.path(lender).join(&file), home.path(TOKENS).join(&file)).unwrap();
            }
        }
        assert_eq!(missing.len(), if token == "0/tokens" { 2 } else { 1 });
        let refused = home.sigillo(&["serve", "--config", "authority/serve.toml"]).ended(1).err;
        assert!(refused.contains("a replacement has not come to its end"), "{n}: {refused}");

        home.sigillo(&replace(out)).ended(0);
        assert_eq!(fs::read_to_string(home.path(out)).unwrap(), file, "{n}: the same two keys");
        assert_eq!(objects(&home.path(TOKENS)), objects(&home.path("1/tokens")), "{n}");
        home.start().await;
        home.activated(&home.api("desk")).await;
        let name = format!("audit-{n}.ndjson");
        assert_eq!(export(&home, &name).of("audit.key_replaced").count(), 1, "{n}");
        for key in [FORMER, out] {
            home.sigillo(&["audit", "verify", "--public-key", key, "--witness", "before.json", &name])
                .ended(0);
        }
        stop(&mut home).await;
    }
    // A store from before, with a token of today: older than what the token vouches for, and no replacement either.
    fs::remove_dir_all(home.path(STORE)).unwrap();
    copy(&home, "0/store", STORE);
    let refused = home.sigillo(&replace("none.pub.pem")).ended(1).err;
    assert!(refused.contains("the store is older than the newest checkpoint"), "{refused}");
    let refused = home.sigillo(&["serve", "--config", "authority/serve.toml"]).ended(1).err;
    assert!(refused.contains("the store is older than the newest checkpoint"), "{refused}");
    assert!(!home.path("none.pub.pem").exists());
    // Its record of the set in force is the former key's: no recovery goes by it.
    let plan =
        ["recover", "plan", "--config", "authority/serve.toml", "--without-events", "--out", "order.txt"];
    let refused = home.sigillo(&plan).ended(1).err;
    assert!(refused.contains("from before that key was replaced"), "{refused}");
}
