//! Faults under a service that is up.

use std::time::Duration;

use sigillo::{
    clock::{Clock as _, SystemClock},
    hsm::State,
};

use crate::{
    rig::Rig,
    shim::{Action, Fault},
    table::{Ended, TIMES, Table, values},
};

/// What a service that is up calls, a checkpoint and the look after a failed call included.
pub(crate) const CALLED: [&str; 9] = [
    "C_CloseSession",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_FindObjectsInit",
    "C_GenerateRandom",
    "C_OpenSession",
    "C_SetAttributeValue",
    "C_Sign",
    "C_SignInit",
];

async fn cell(rig: &mut Rig, table: &mut Table, what: &str, fault: Fault) {
    rig.renew().await;
    rig.ready().await;
    rig.shim.set(0, fault);
    let asked = rig.ask().await;
    let struck = rig.shim.struck(0);
    rig.shim.clear();
    table.findings.extend(rig.judge(&asked, what));
    let (ended, back) = rig.back(Some(&asked)).await;
    let ended = if struck == 0 { Ended::Untouched } else { ended };
    table.findings.extend(rig.serves_again(Some(&asked), what).await);
    table.add(fault.function.unwrap_or("every function"), ended, back);
}

pub(crate) async fn every_value() {
    let mut rig = Rig::serving().await;
    let mut table = Table::new("while it serves");
    for function in CALLED {
        for (name, value) in values() {
            for times in TIMES {
                let what = format!("{function} {name} {times:?}");
                cell(&mut rig, &mut table, &what, Fault::of(function, times, Action::Answer(value))).await;
            }
        }
    }
    rig.end().await;
    table.show();
}

/// The n-th use of a key within a verification fails, and from then on every use of that key: the others work.
pub(crate) async fn one_key() {
    let mut rig = Rig::serving().await;
    let mut table = Table::new("one key");
    for (name, value) in values() {
        for nth in 1..=7 {
            let what = format!("key of the {nth}th MAC: {name}");
            let action = Action::Answer(value);
            let fault = Fault { first: nth, sticky: true, ..Fault::of("C_SignInit", None, action) };
            cell(&mut rig, &mut table, &what, fault).await;
        }
    }
    rig.end().await;
    table.show();
    assert_eq!(table.count(Ended::Unavailable), 0, "a key that goes on failing takes the token down");
}

/// Faults that are no return value. A call that hangs is answered 503 at the deadline.
pub(crate) async fn otherwise() {
    let mut rig = Rig::serving().await;
    let mut table = Table::new("otherwise");
    for function in CALLED {
        for (name, action) in [
            ("done, but an error", Action::Done(0x30)),
            ("late", Action::Delay(2000)),
            ("cut", Action::Cut),
            ("sessions forgotten", Action::Forget),
            ("token lost", Action::Lose(0xe0)),
        ] {
            for times in TIMES {
                let what = format!("{function} {name} {times:?}");
                cell(&mut rig, &mut table, &what, Fault::of(function, times, action)).await;
            }
        }
    }
    // A deadline that a machine under load keeps when nothing hangs.
    rig.limits.deadline = Duration::from_secs(2);
    rig.limits.probe_every = Duration::from_millis(50);
    rig.start().await.unwrap();
    for function in CALLED {
        hang(&mut rig, &mut table, function).await;
    }
    rig.end().await;
    table.show();
}

/// Late is answered at the deadline and costs what it costs; nothing is spent once it was seen; then all goes on.
async fn hang(rig: &mut Rig, table: &mut Table, function: &'static str) {
    let what = format!("{function} hangs");
    rig.renew().await;
    rig.ready().await;
    rig.shim.set(0, Fault::of(function, Some(1), Action::Hang));
    let asked = rig.ask().await;
    let struck = rig.shim.struck(0);
    assert!(struck == 0 || rig.service().hsm().state() != State::Up, "{what}: nobody has seen it");
    rig.shim.clear();
    let clock = SystemClock::new();
    table.findings.extend(rig.judge(&asked, &what));
    let (ended, _) = rig.back(Some(&asked)).await;
    let ended = if struck == 0 { Ended::Untouched } else { ended };
    table.findings.extend(rig.serves_again(Some(&asked), &what).await);
    table.add(function, ended, clock.uptime());
}
