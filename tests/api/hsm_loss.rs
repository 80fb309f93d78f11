//! The token goes and comes back, or is robbed of a key, under a running service and under guesses: no wrong code is
//! accepted, no try is lost, and what can come back does so without a restart (I5, I7).

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use sigillo::clock::{Clock as _, SystemClock};
use tokio::task::JoinSet;

use crate::{
    fixture::{Activated, Api, Installation, audit::Log, cards::wrong, demo::STARTS, eventually},
    p11_kit_server::softhsm,
    rounds::rounds,
};

/// What the guesses of one card were answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) rejected: u64,
    pub(crate) unavailable: u64,
}

/// Guesses one after another until told to stop. A wrong guess is never accepted, and every answer is "rejected" or
/// 503.
pub(crate) async fn guess(
    desk: Arc<Api>,
    active: Activated,
    cip: String,
    stop: Arc<AtomicBool>,
) -> (Activated, Answers) {
    let mut answers = Answers::default();
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        let answer = desk.change("/v1/verifications", &active.card.guess(&wrong(&cip, n))).await;
        n += 1;
        if answer.status == 200 {
            assert_eq!(answer.json()["outcome"], "rejected");
            answers.rejected += 1;
        } else {
            answer.problem(503, "unavailable");
            answers.unavailable += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    (active, answers)
}

async fn state(home: &Installation) -> String {
    home.internal("/readyz").await.1
}

/// Waits for what `/readyz` says; answers how long it took.
pub(crate) async fn until(home: &Installation, what: &str) -> Duration {
    let clock = SystemClock::new();
    eventually(what, async || (state(home).await == what).then_some(())).await;
    clock.uptime()
}

pub(crate) const DOWN: &str = "not ready: HSM down\n";
pub(crate) const READY: &str = "ready\n";

/// The number of events, while nothing but the reading adds to them.
async fn events(home: &Installation) -> usize {
    Log::read(&home.api("auditor")).await.0.len()
}

/// A card's id in the log, by the request that activated it.
fn id<'a>(log: &'a Log, active: &Activated) -> &'a str {
    log.0.iter().find(|event| event.text("request") == active.request).unwrap().text("card")
}

/// Every try that is gone is in the log, every ticket once: nothing was spent that the log does not know.
pub(crate) fn tries_are_accounted_for(log: &Log, active: &Activated, left: u64, limit: u64) {
    let card = id(log, active);
    let granted: Vec<&str> = log
        .about(card)
        .filter(|event| event.text("kind") == "verification.spent" && event.is_granted())
        .map(|event| event.text("ticket"))
        .collect();
    let mut once = granted.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), granted.len(), "a ticket twice");
    assert_eq!(left, limit - u64::try_from(granted.len()).unwrap(), "{card}");
}

pub(crate) async fn tries_left(desk: &Api, active: &Activated) -> u64 {
    let found: Value = active.card.look_up(desk).await;
    found["cip_tries_left"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_goes_and_comes_back_under_guesses_costs_nothing_and_no_restart() {
    let mut home = Installation::delivering().await;
    let desk = Arc::new(home.api("desk"));
    let untouched = home.activated(&desk).await;
    let cip = untouched.cip(&home).await;
    let (tokens, away) = (home.path("authority/tokens"), home.path("authority/tokens-away"));
    for round in 1..=rounds(2) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut guesses = JoinSet::new();
        for _ in 0..4 {
            let active = home.activated(&desk).await;
            let code = active.cip(&home).await;
            guesses.spawn(guess(Arc::clone(&desk), active, code, Arc::clone(&stop)));
        }
        fs::rename(&tokens, &away).unwrap();
        let seen = until(&home, DOWN).await;
        // Down: refused, and not a try, not an event.
        for _ in 0..10 {
            desk.change("/v1/verifications", &untouched.card.guess(&cip)).await.problem(503, "unavailable");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(state(&home).await, DOWN);
        fs::rename(&away, &tokens).unwrap();
        let back = until(&home, READY).await;
        println!("round {round}: loss seen after {seen:?}, back {back:?} after the directory was");

        // The right code is right again, at once; what was refused meanwhile cost it nothing.
        assert_eq!(untouched.card.verify(&desk, &cip).await.0, "accepted");
        assert_eq!(tries_left(&desk, &untouched).await, 5);
        stop.store(true, Ordering::SeqCst);
        let guesses = guesses.join_all().await;
        let log = Log::read(&home.api("auditor")).await;
        for (active, answers) in &guesses {
            assert!(answers.unavailable > 0, "it guessed while the token was away: {answers:?}");
            tries_are_accounted_for(&log, active, tries_left(&desk, active).await, 5);
        }
        let accepted = log.of("verification.decided").filter(|event| event.text("outcome") == "accepted");
        assert_eq!(accepted.count(), round, "the right code, once a round");
    }
    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.of("service.started").count(), STARTS + 1, "the same process");
    let recoveries = format!("sigillo_hsm_recoveries_total {}\n", rounds(2));
    eventually("the metric", async || home.internal("/metrics").await.1.contains(&recoveries).then_some(()))
        .await;
    let metrics = home.internal("/metrics").await.1;
    let down =
        metrics.lines().find_map(|line| line.strip_prefix("sigillo_hsm_last_recovery_seconds ")).unwrap();
    assert!(down.parse::<f64>().unwrap() >= 0.5, "it was away for half a second: {down}");
    println!("{}", operations_are_accounted_for(&home).await);
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0), "{}", serve.said());
}

/// What the process says that it sent to its keys of codes lies within what the exported log accounts for.
pub(crate) async fn operations_are_accounted_for(home: &Installation) -> String {
    home.sigillo_as("auditor", &["audit", "export"], &["--out", "audit.ndjson"]).ended(0);
    let counted = home.sigillo(&["audit", "operations", "--json", "audit.ndjson"]).ended(0);
    let account: Value = serde_json::from_str(&counted.out).unwrap();
    // Idle by now, and the metrics are copied twice a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let metrics = home.internal("/metrics").await.1;
    let metric = |name: &str| -> u64 {
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    let mut seen = String::new();
    for key in ["print", "verify"] {
        let sent = metric(&format!("sigillo_hsm_operations_total{{key=\"{key}\"}}"));
        let bound = |which: &str| account["since_start"][which][key].as_u64().unwrap();
        seen +=
            &format!("{key}: {sent} sent, the log accounts for {} to {}\n", bound("least"), bound("most"));
        assert!((bound("least")..=bound("most")).contains(&sent), "{key}: {sent}, {account}");
        assert!(sent > 0);
        assert_eq!(metric(&format!("sigillo_hsm_operations_unaccounted{{key=\"{key}\"}}")), 0);
    }
    seen
}

/// While the token is away nothing at all is written, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_token_is_away_nothing_is_spent_and_nothing_is_logged() {
    let home = Installation::serving().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let (tokens, away) = (home.path("authority/tokens"), home.path("authority/tokens-away"));
    let before = events(&home).await;
    fs::rename(&tokens, &away).unwrap();
    until(&home, DOWN).await;
    for _ in 0..20 {
        desk.change("/v1/verifications", &active.card.guess("12345678")).await.problem(503, "unavailable");
        desk.change("/v1/activations", &active.card.activation("x@esempio.it"))
            .await
            .problem(503, "unavailable");
    }
    fs::rename(&away, &tokens).unwrap();
    until(&home, READY).await;
    assert_eq!(events(&home).await, before + 1, "the two readings of the log are all that it gained");
    assert_eq!(tries_left(&desk, &active).await, 5);
}

/// Another process deletes a key: its session copy would go on working. Down, with a reason that names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_deleted_under_the_service_is_down_with_its_name() {
    let home = Installation::delivering().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    delete_key(&home, "verify");
    println!("deleted key seen after {:?}", until(&home, DOWN).await);
    for _ in 0..10 {
        desk.change("/v1/verifications", &active.card.guess(&cip)).await.problem(503, "unavailable");
    }
    let serve = home.serve.as_ref().unwrap();
    eventually("the name of the key", async || {
        serve.said().contains("key \"verify\" is not on the token").then_some(())
    })
    .await;
    assert_eq!(state(&home).await, DOWN);
    assert_eq!(serve.said().matches("HSM token lost").count(), 1);
}

/// `pkcs11-tool`, as an administrator with the PIN would use it.
fn delete_key(home: &Installation, label: &str) {
    let directory = home.path("authority");
    let pin = fs::read_to_string(directory.join("pin")).unwrap();
    let deleted = Command::new("pkcs11-tool")
        .args(["--module", softhsm().to_str().unwrap(), "--token-label", "demo-authority", "--login"])
        .args(["--pin", pin.trim_end(), "--delete-object", "--type", "secrkey", "--label", label])
        .env("SOFTHSM2_CONF", directory.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
}

/// The module hangs in a read that never ends. 503 meanwhile without a try spent, then the process ends by itself with
/// the code that tells the service manager to start it again; nothing that was acknowledged is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_hangs_is_given_up_and_the_process_ends() {
    let mut home = Installation::new();
    home.edit("authority/hsm.toml", "[pin]\n", "[pool]\ngive_up_ms = 3000\n\n[pin]\n");
    home.start().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let token = fs::read_dir(home.path("authority/tokens")).unwrap().next().unwrap().unwrap().path();
    let (generation, aside) = (token.join("generation"), token.join("generation-aside"));
    // SoftHSM reads this file before it looks at an object; to open a pipe without a writer blocks.
    fs::rename(&generation, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&generation).status().unwrap().success());
    let clock = SystemClock::new();
    until(&home, "not ready: HSM degraded\n").await;
    let degraded = clock.uptime();
    desk.change("/v1/verifications", &active.card.guess("12345678")).await.problem(503, "unavailable");
    let serve = home.serve.as_mut().unwrap();
    assert_eq!(serve.wait().await, Some(75), "{}", serve.said());
    println!("degraded after {degraded:?}, ended after {:?}", clock.uptime());
    assert!(serve.said().contains("the HSM module is given up"), "{}", serve.said());

    fs::remove_file(&generation).unwrap();
    fs::rename(&aside, &generation).unwrap();
    home.start().await;
    let desk = home.api("desk");
    assert_eq!(tries_left(&desk, &active).await, 5);
    assert_eq!(active.card.verify(&desk, "12345678").await.0, "rejected");
}

/// The courier's token goes and comes back: what was activated meanwhile is sent by the same process.
#[tokio::test(flavor = "multi_thread")]
async fn a_courier_whose_token_comes_back_goes_on() {
    let mut home = Installation::delivering().await;
    let desk = home.api("desk");
    let before = home.activated(&desk).await;
    assert_eq!(before.cip(&home).await.len(), 8);
    let (tokens, away) = (home.path("courier/tokens"), home.path("courier/tokens-away"));
    fs::rename(&tokens, &away).unwrap();
    let courier = home.courier.as_ref().unwrap();
    eventually("a courier that sees it", async || courier.said().contains("HSM token lost").then_some(()))
        .await;
    let meanwhile = home.activated(&desk).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(home.mails(&meanwhile.address).is_empty());
    fs::rename(&away, &tokens).unwrap();
    let cip = meanwhile.cip(&home).await;
    assert_eq!(meanwhile.card.verify(&desk, &cip).await.0, "accepted");
    let courier = home.courier.as_mut().unwrap();
    assert!(courier.said().contains("the HSM token is back"), "{}", courier.said());
    courier.terminate();
    assert_eq!(courier.wait().await, Some(0), "{}", courier.said());
}

/// A call that comes back too late does not turn the end of a courier into one that nobody mends.
#[tokio::test(flavor = "multi_thread")]
async fn a_courier_that_gave_its_module_up_says_so_even_if_the_call_returns() {
    let mut home = Installation::new();
    // Long enough to wait for the call that returns.
    home.edit("courier/hsm.toml", "[pin]\n", "[pool]\ngive_up_ms = 1000\ndeadline_ms = 60000\n\n[pin]\n");
    home.start().await;
    home.start_courier();
    let token = fs::read_dir(home.path("courier/tokens")).unwrap().next().unwrap().unwrap().path();
    let courier = home.courier.as_mut().unwrap();
    eventually("a courier", async || courier.said().contains("courier started").then_some(())).await;
    let (generation, aside, pipe) =
        (token.join("generation"), token.join("generation-aside"), token.join("generation-pipe"));
    fs::rename(&generation, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&generation).status().unwrap().success());
    eventually("a module given up", async || {
        courier.said().contains("the HSM module is given up").then_some(())
    })
    .await;
    fs::rename(&generation, &pipe).unwrap();
    fs::rename(&aside, &generation).unwrap();
    // Whoever waits for a writer goes on, and reads nothing.
    drop(fs::OpenOptions::new().write(true).open(&pipe).unwrap());
    assert_eq!(courier.wait().await, Some(75), "{}", courier.said());
    assert!(!courier.said().contains("is left there"), "the call came back: {}", courier.said());
}
