//! Tokens behind a real `p11-kit server`, whose processes are killed, stopped and started again under guesses: no wrong
//! code is accepted, no try is lost, 503 meanwhile, and what can come back does so without a restart (I4, I5, I7).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustix::process::{Signal, kill_process};
use sigillo::clock::{Clock as _, SystemClock};
use tokio::task::JoinSet;

use crate::{
    fixture::{Activated, Api, Installation, audit::Log, demo::STARTS, eventually, process::Process},
    hsm_loss::{
        Answers, DOWN, READY, guess, operations_are_accounted_for, tries_are_accounted_for, tries_left, until,
    },
    rounds::rounds,
};

/// Waits for what comes back, however slow the machine is.
const PATIENT: u32 = 120_000;
/// Ends the process soon when a call does not come back.
const IMPATIENT: u32 = 6000;

/// The pool's limits, of which only the time after which it gives up differs.
fn pool(give_up_ms: u32) -> String {
    format!(
        "\n[pool]\nworkers = 2\ndeadline_ms = 1000\nprobe_ms = 200\ngive_up_ms = {give_up_ms}\n\n[environment]\n"
    )
}

/// Wrong guesses that a card's C.I.P. takes.
const LIMIT: u64 = 5;

/// What happens to the authority's way to its token.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// `kill -9` of the connection's process; the server goes on.
    Connection,
    /// `kill -9` of server and connection; the server is started again when the loss was seen.
    Server,
    /// The connection's process stops for longer than a call may take, and goes on.
    LongStop,
    /// It stops for less than that.
    ShortStop,
}

const BLOWS: [Blow; 4] = [Blow::Connection, Blow::Server, Blow::ShortStop, Blow::LongStop];

/// An installation with both tokens behind servers of their own.
async fn remote(give_up_ms: u32) -> Installation {
    let mut home = Installation::new();
    home.put_behind_p11_kit();
    home.edit("authority/hsm.toml", "\n[environment]\n", &pool(give_up_ms));
    home.start().await;
    home.start_courier();
    home
}

/// Sends a signal to every process that serves the authority's connections, of which there is one.
fn signal(home: &Installation, signal: Signal) {
    let connections = home.servers[0].connections();
    assert!(!connections.is_empty(), "the authority is connected");
    for pid in connections {
        kill_process(pid, signal).unwrap();
    }
}

/// Right codes while the token does not answer: unavailable. At one time, since each may wait for its deadline.
async fn all_refused(desk: &Arc<Api>, active: &Activated, cip: &str) {
    let mut all = JoinSet::new();
    for _ in 0..10 {
        let (desk, body) = (Arc::clone(desk), active.card.guess(cip));
        all.spawn(async move { desk.change("/v1/verifications", &body).await });
    }
    for answer in all.join_all().await {
        answer.problem(503, "unavailable");
    }
}

/// A set that waits for the token's signature: meanwhile signals are heard, revocation lists read, and the end begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_waits_for_the_token_holds_up_neither_lists_nor_the_end() {
    let mut home = Installation::new();
    home.put_behind_p11_kit();
    let patient = "\n[pool]\nworkers = 2\ndeadline_ms = 60000\nprobe_ms = 60000\n\n[environment]\n";
    home.edit("authority/hsm.toml", "\n[environment]\n", patient);
    home.start().await;
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    signal(&home, Signal::STOP);
    let mut serve = home.serve.take().unwrap();
    let seen = async |serve: &Process, said: &str, times: usize| {
        eventually(said, async || (serve.said().matches(said).count() == times).then_some(())).await;
        for over in ["another policy set is in force", "the policy set stays as it was"] {
            assert!(!serve.said().contains(over), "first {over:?}, then {said:?}");
        }
    };
    serve.hang_up();
    seen(&serve, "certificates and revocation lists loaded again", 1).await;
    std::fs::write(home.path("authority/crls/demo.crl"), "nonsense").unwrap();
    serve.hang_up();
    seen(&serve, "certificates and revocation lists loaded again", 2).await;
    seen(&serve, "revocation list of operators' cards: ", 1).await;
    serve.terminate();
    seen(&serve, "draining", 1).await;
    signal(&home, Signal::CONT);
    assert_eq!(serve.wait().await, Some(0), "{}", serve.said());
}

async fn nap(ms: u64) {
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}

/// Does it and waits until the authority is ready again, in the same process.
#[expect(clippy::print_stdout, reason = "times of detection and recovery, for people")]
async fn strike(home: &mut Installation, blow: Blow, desk: &Arc<Api>, untouched: &Activated, cip: &str) {
    match blow {
        Blow::Connection => {
            let (clock, killed) = (SystemClock::new(), home.servers[0].connections());
            signal(home, Signal::KILL);
            // It may be back before anybody has seen it gone: the process of the next connection tells.
            eventually("another connection", async || {
                home.servers[0].connections().iter().any(|pid| !killed.contains(pid)).then_some(())
            })
            .await;
            until(home, READY).await;
            println!("{blow:?}: ready {:?} after the kill", clock.uptime());
        }
        Blow::Server => {
            home.servers[0].kill();
            let seen = until(home, DOWN).await;
            all_refused(desk, untouched, cip).await;
            home.restart_server(0);
            println!("{blow:?}: seen after {seen:?}, ready {:?} after the restart", until(home, READY).await);
        }
        Blow::ShortStop => {
            signal(home, Signal::STOP);
            nap(300).await;
            signal(home, Signal::CONT);
            println!("{blow:?}: ready {:?} after it goes on", until(home, READY).await);
        }
        Blow::LongStop => {
            signal(home, Signal::STOP);
            let seen = until(home, DEGRADED).await;
            all_refused(desk, untouched, cip).await;
            signal(home, Signal::CONT);
            println!("{blow:?}: seen after {seen:?}, ready {:?} after it goes on", until(home, READY).await);
        }
    }
}

const DEGRADED: &str = "not ready: HSM degraded\n";

/// Presents the right code until there is an answer: a loss may be seen only now. The first answer is "accepted".
async fn right_again(desk: &Api, active: &Activated, cip: &str) {
    eventually("an answer to a right code", async || {
        let answer = desk.change("/v1/verifications", &active.card.guess(cip)).await;
        if answer.status == 200 {
            assert_eq!(answer.json()["outcome"], "accepted");
            return Some(());
        }
        answer.problem(503, "unavailable");
        None
    })
    .await;
}

/// After its guesses a card's right code is accepted exactly if a try is left.
async fn right_code_counts(desk: &Api, active: &Activated, cip: &str, left: u64) {
    let expected = if left > 0 { "accepted" } else { "rejected" };
    assert_eq!(active.card.verify(desk, cip).await.0, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_stopped_under_guesses_it_accepts_nothing_wrong_and_loses_no_try() {
    let mut home = remote(PATIENT).await;
    let desk = Arc::new(home.api("desk"));
    let untouched = home.activated(&desk).await;
    let cip = untouched.cip(&home).await;
    let (mut accepted, mut spent, mut cut_off) = (0, 0, 0);
    for blow in BLOWS.into_iter().cycle().take(rounds(BLOWS.len())) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut guesses = JoinSet::new();
        for _ in 0..4 {
            let active = home.activated(&desk).await;
            let code = active.cip(&home).await;
            guesses.spawn(guess(Arc::clone(&desk), active, code, Arc::clone(&stop)));
        }
        strike(&mut home, blow, &desk, &untouched, &cip).await;
        // What was refused meanwhile cost it nothing, and its right code is right again.
        assert_eq!(tries_left(&desk, &untouched).await, LIMIT, "{blow:?}");
        right_again(&desk, &untouched, &cip).await;
        accepted += 1;
        stop.store(true, Ordering::SeqCst);
        let guesses = guesses.join_all().await;
        let log = Log::read(&home.api("auditor")).await;
        for (active, answers) in &guesses {
            let Answers { rejected, unavailable } = *answers;
            let left = tries_left(&desk, active).await;
            tries_are_accounted_for(&log, active, left, LIMIT);
            // A try without an answer was on its way when the token went, and stays spent.
            assert!(LIMIT - left <= rejected + unavailable, "{answers:?}");
            spent += LIMIT - left;
            cut_off += unavailable;
        }
        // Those that are used up stay so, whatever happened between.
        for (active, _) in &guesses {
            let code = active.cip(&home).await;
            let left = tries_left(&desk, active).await;
            right_code_counts(&desk, active, &code, left).await;
            accepted += usize::from(left > 0);
        }
    }
    let log = Log::read(&home.api("auditor")).await;
    let right = log.of("verification.decided").filter(|event| event.text("outcome") == "accepted");
    assert_eq!(right.count(), accepted, "right codes only");
    assert_eq!(log.of("service.started").count(), STARTS + 1, "the same process");
    println!("{accepted} right codes accepted, {spent} wrong tries spent, {cut_off} calls answered 503");
    println!("{}", operations_are_accounted_for(&home).await);
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0), "{}", serve.said());
}

/// PKCS#11 has no timeouts: what hangs for good is left by ending the process, and the next one has lost nothing.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_good_the_process_ends_and_the_next_one_has_lost_nothing() {
    let mut home = remote(IMPATIENT).await;
    let desk = Arc::new(home.api("desk"));
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    signal(&home, Signal::STOP);
    let clock = until(&home, DEGRADED).await;
    all_refused(&desk, &active, &cip).await;
    assert_eq!(
        home.serve.as_mut().unwrap().wait().await,
        Some(75),
        "{}",
        home.serve.as_ref().unwrap().said()
    );
    println!("seen after {clock:?}, then ended with 75");
    signal(&home, Signal::KILL);
    home.start().await;
    let desk = home.api("desk");
    assert_eq!(tries_left(&desk, &active).await, LIMIT);
    assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");
}

/// The courier's token answers over the socket too: contacts are opened and second parts made there.
#[tokio::test(flavor = "multi_thread")]
async fn a_courier_whose_connection_dies_sends_what_it_owes() {
    let home = remote(PATIENT).await;
    let desk = home.api("desk");
    let first = home.activated(&desk).await;
    first.cip(&home).await;
    for pid in home.servers[1].connections() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let second = home.activated(&desk).await;
    let cip = second.cip(&home).await;
    assert_eq!(second.card.verify(&desk, &cip).await.0, "accepted");
}
