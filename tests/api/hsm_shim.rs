//! A sample of `tests/hsm_faults` with the whole installation: the authority's module fails on demand under guesses.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinSet;

use crate::{
    fixture::{Api, Installation, audit::Log, demo::STARTS, eventually},
    hsm_loss::{
        DOWN, READY, guess, operations_are_accounted_for, tries_are_accounted_for, tries_left, until,
    },
    p11_kit_server::{client, softhsm},
    shim::{self, Action, Fault, Shim},
};

/// Puts the module that fails on demand between the authority and its token.
async fn shimmed() -> (Installation, Shim) {
    let mut home = Installation::new();
    let behind = if home.servers.is_empty() { softhsm() } else { client() };
    let module = |path: &std::path::Path| format!("module = {path:?}");
    home.edit("authority/hsm.toml", &module(&behind), &module(&shim::module()));
    let control = format!(
        "\n[sandbox]\nwrite = [\"control\"]\n\n[environment]\n{} = {behind:?}\n{} = \"control\"\n",
        shim::MODULE,
        shim::CONTROL
    );
    home.edit("authority/hsm.toml", "\n[environment]\n", &control);
    let shim = Shim::create(&home.path("authority/control"));
    home.start().await;
    home.start_courier();
    (home, shim)
}

/// Faults that are over when they are over: the same process serves again.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_fails_on_demand_costs_503_and_no_try() {
    let (mut home, shim) = shimmed().await;
    let desk = Arc::new(home.api("desk"));
    let known = home.activated(&desk).await;
    let cip = known.cip(&home).await;
    let (device_error, handle_invalid, not_present) = (0x30, 0x60, 0xe0);
    let faults = [
        Fault::of("C_SignInit", None, Action::Answer(handle_invalid)),
        Fault::of("C_Sign", None, Action::Done(device_error)),
        Fault::of("C_FindObjectsInit", None, Action::Answer(not_present)),
        Fault { function: None, ..Fault::of("C_Sign", None, Action::Lose(not_present)) },
    ];
    for fault in faults {
        let stop = Arc::new(AtomicBool::new(false));
        let mut guesses = JoinSet::new();
        for _ in 0..2 {
            let active = home.activated(&desk).await;
            let code = active.cip(&home).await;
            guesses.spawn(guess(Arc::clone(&desk), active, code, Arc::clone(&stop)));
        }
        shim.set(0, fault);
        let seen = until(&home, DOWN).await;
        for _ in 0..5 {
            desk.change("/v1/verifications", &known.card.guess(&cip)).await.problem(503, "unavailable");
        }
        assert!(shim.struck(0) > 0, "{fault:?}");
        shim.clear();
        let back = until(&home, READY).await;
        println!("{fault:?}: seen after {seen:?}, ready {back:?} after it was over");
        assert_eq!(known.card.verify(&desk, &cip).await.0, "accepted");
        assert_eq!(tries_left(&desk, &known).await, 5);
        stop.store(true, Ordering::SeqCst);
        let guesses = guesses.join_all().await;
        let log = Log::read(&home.api("auditor")).await;
        for (active, _) in &guesses {
            tries_are_accounted_for(&log, active, tries_left(&desk, active).await, 5);
        }
    }
    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.of("service.started").count(), STARTS + 1, "the same process");
    println!("{}", operations_are_accounted_for(&home).await);
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0), "{}", serve.said());
}

/// A module whose MACs are cut short is no token: refused for good with a reason, and the next process serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_answers_wrong_is_refused_until_the_next_start() {
    let (mut home, shim) = shimmed().await;
    let desk = home.api("desk");
    let known = home.activated(&desk).await;
    let cip = known.cip(&home).await;
    shim.set(0, Fault::of("C_Sign", None, Action::Cut));
    refused(&desk, &known, &cip).await;
    until(&home, DOWN).await;
    let serve = home.serve.as_mut().unwrap();
    eventually("a reason", async || {
        serve
            .said()
            .contains("the HSM token is refused; it is not opened again in this process")
            .then_some(())
    })
    .await;
    assert!(serve.said().contains("bytes, not 32"), "{}", serve.said());
    shim.clear();
    refused(&desk, &known, &cip).await;
    serve.terminate();
    serve.wait().await;
    home.start().await;
    let desk = home.api("desk");
    assert_eq!(known.card.verify(&desk, &cip).await.0, "accepted");
    assert_eq!(tries_left(&desk, &known).await, 5);
}

async fn refused(desk: &Api, known: &crate::fixture::Activated, cip: &str) {
    for _ in 0..5 {
        desk.change("/v1/verifications", &known.card.guess(cip)).await.problem(503, "unavailable");
    }
}
