//! Disk full, token gone, told to stop: refused or finished, never half done (I5, I7).

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use serde_json::json;
use sigillo::{client::ClientError, tls::Protocols};
use tokio::task::JoinSet;

use crate::fixture::{
    Installation, audit::Log, cards::wrong, demo::STARTS, eventually, key, registered::OperatorCard,
};

/// Free space of a file system, in MiB.
fn free_mib(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    (disk.f_bavail * disk.f_frsize) >> 20
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_unavailable_and_changes_nothing() {
    // A file system in memory, which nobody else fills or empties meanwhile.
    let small = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut home = Installation::unserved();
    let store = small.path().join("store");
    let moved = format!("directory = \"{}\"\nreserve_mib = ", store.display());
    home.edit("authority/serve.toml", "directory = \"store\"\n", &format!("{moved}1\n"));
    home.sigillo(&["init", "--config", "authority/serve.toml"]).ended(0);
    let reserve = free_mib(small.path()) - 32;
    home.edit("authority/serve.toml", "reserve_mib = 1\n", &format!("reserve_mib = {reserve}\n"));
    home.start().await;
    let desk = home.api("desk");
    OperatorCard::of_demo(home.directory()).register(&desk).await;
    let card = home.cards(1).await.remove(0);
    let auditor = home.api("auditor");
    let before = Log::read(&auditor).await.0.len();

    let filler = small.path().join("filler");
    fs::write(&filler, vec![1; 40 << 20]).unwrap();
    for _ in 0..3 {
        let activation = desk.change("/v1/activations", &card.activation("titolare@esempio.it")).await;
        activation.problem(503, "unavailable");
        assert_eq!(activation.headers["retry-after"], "1");
        desk.change("/v1/verifications", &card.guess("12345678")).await.problem(503, "unavailable");
        desk.post("/v1/cards/lookup", None, &card.printed()).await.problem(503, "unavailable");
        // What cannot be recorded is refused even to those that are refused anyway.
        home.api("bureau").get("/v1/audit/events").await.problem(503, "unavailable");
    }
    assert_eq!(home.internal("/livez").await.0, 200);
    let (_, ready) = home.internal("/readyz").await;
    assert!(!ready.is_empty());

    // Space again: it goes on without a restart, and nothing of the above has happened.
    fs::remove_file(&filler).unwrap();
    assert_eq!(card.look_up(&desk).await["state"], "registered");
    let after = Log::read(&auditor).await;
    let new: Vec<_> = after.0[before..].iter().map(|event| event.text("kind")).collect();
    assert_eq!(new, ["card.looked_up", "audit.read"]);
    home.activate(&desk, &card).await;
    assert_eq!(home.internal("/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_token_is_seen_and_no_try_is_spent_on_it() {
    let mut home = Installation::serving().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let guess = "12345678";
    assert_eq!(active.card.verify(&desk, guess).await.0, "rejected");

    let (tokens, away) = (home.path("authority/tokens"), home.path("authority/tokens-away"));
    fs::rename(&tokens, &away).unwrap();
    let reason = eventually("an authority that sees it", async || {
        let (status, text) = home.internal("/readyz").await;
        (status == 503).then_some(text)
    });
    assert_eq!(reason.await, "not ready: HSM down\n");
    for _ in 0..10 {
        desk.change("/v1/verifications", &active.card.guess(guess)).await.problem(503, "unavailable");
    }
    desk.change("/v1/activations", &active.card.activation("x@esempio.it")).await.problem(503, "unavailable");
    home.api("auditor").get("/v1/audit/checkpoint").await.problem(503, "unavailable");
    assert_eq!(home.internal("/livez").await.0, 200);
    let down = eventually("the metric", async || {
        let text = home.internal("/metrics").await.1;
        text.contains("sigillo_hsm_state{state=\"down\"} 1\n").then_some(())
    });
    down.await;

    // Told to stop it ends, without a last checkpoint; started again with its token it finds everything.
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    serve.wait().await;
    fs::rename(&away, &tokens).unwrap();
    home.start().await;
    let desk = home.api("desk");
    let found = active.card.look_up(&desk).await;
    assert_eq!((&found["state"], &found["cip_tries_left"]), (&json!("active"), &json!(4)));
    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.of("verification.spent").count(), 1);
    assert_eq!(log.of("service.started").count(), STARTS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_it_has_begun_and_finds_it_again() {
    let mut home = Installation::serving().await;
    let desk = Arc::new(home.api_with("desk", Protocols::Http1, 16));
    let active = home.activated(&desk).await;
    let cards = home.cards(40).await;
    let (mut running, told) = (JoinSet::new(), Arc::new(tokio::sync::Notify::new()));
    for (n, card) in cards.into_iter().enumerate() {
        let (desk, once, told) = (Arc::clone(&desk), key(), Arc::clone(&told));
        running.spawn(async move {
            let answer =
                desk.try_post("/v1/activations", Some(&once), &card.activation("t@esempio.it")).await;
            if n == 5 {
                told.notify_one();
            }
            match answer {
                Ok(answer) => Some((card, once, answer.ok()["first_parts"].clone())),
                Err(ClientError::TimedOut { .. }) => {
                    panic!("neither an answer nor the end of the connection")
                }
                Err(_) => None,
            }
        });
    }
    told.notified().await;
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0), "{}", serve.said());
    let said = serve.said();
    assert!(said.contains("draining") && !said.contains("did not end in time"), "{said}");
    let acknowledged: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert!(!acknowledged.is_empty());

    home.start().await;
    let desk = home.api("desk");
    for (card, once, first_parts) in &acknowledged {
        let again = desk.post("/v1/activations", Some(once), &card.activation("t@esempio.it")).await.ok();
        assert_eq!(again["first_parts"], *first_parts);
    }
    let log = Log::read(&home.api("auditor")).await;
    let of = |outcome: &'static str| {
        let events = log.of("card.activated").filter(move |event| event.text("outcome") == outcome);
        events.map(|event| event.text("card")).collect::<BTreeSet<_>>()
    };
    // A drain leaves no intent without its outcome.
    assert_eq!(of("intent"), of("done"));
    assert!(of("done").len() > acknowledged.len());
    assert_eq!(active.card.look_up(&desk).await["state"], "active");
    assert_eq!(active.card.verify(&desk, &wrong("00000000", 0)).await.0, "rejected");
}

/// SIGHUP loads certificates again for connections to come; bad ones are refused and those in force stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_loads_certificates_again() {
    let home = Installation::serving().await;
    let card = home.cards(1).await.remove(0);
    let trusted = home.path("authority/tls/client-ca.pem");
    let good = fs::read(&trusted).unwrap();
    let serve = home.serve.as_ref().unwrap();
    let reloaded = async |said: &str, times: usize| {
        serve.hang_up();
        eventually(said, async || (serve.said().matches(said).count() == times).then_some(())).await;
    };
    assert_eq!(card.look_up(&home.api("desk")).await["state"], "registered");

    fs::write(&trusted, "nonsense").unwrap();
    reloaded("stay as they were", 1).await;
    assert_eq!(card.look_up(&home.api("desk")).await["state"], "registered");

    fs::copy(home.path("clients/ca.pem"), &trusted).unwrap(); // the authority of servers: it issued no client
    reloaded("loaded again", 1).await;
    let body = json!({ "team_number": card.team_number });
    assert!(home.api("desk").try_post("/v1/cards/lookup", None, &body).await.is_err());

    fs::write(&trusted, good).unwrap();
    reloaded("loaded again", 2).await;
    assert_eq!(card.look_up(&home.api("desk")).await["state"], "registered");
}

/// A pipe among the policy files holds up neither the reload nor what else a signal asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_policy_directory_is_refused_and_signals_are_heard() {
    let mut home = Installation::serving().await;
    let pipe = home.path("authority/policies/pipe.md");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let serve = home.serve.as_mut().unwrap();
    for times in 1..=2 {
        serve.hang_up();
        for said in ["certificates and revocation lists loaded again", "pipe.md: not a regular file"] {
            eventually(said, async || (serve.said().matches(said).count() == times).then_some(())).await;
        }
    }
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0));
}
