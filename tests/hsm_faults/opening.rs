//! Faults while a token is opened: by a process that starts, and again after it was lost.

use sigillo::{
    clock::{Clock as _, SystemClock},
    hsm::{MacKey, OpenError, Source as _, pkcs11::Device},
};

use crate::{
    rig::{Rig, config},
    serving,
    shim::{Action, Fault},
    table::{Ended, Table, times_of, values},
};

/// What an opening calls, with what a service asks when it starts.
const CALLED: [&str; 18] = [
    "C_CloseSession",
    "C_CopyObject",
    "C_CreateObject",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_FindObjectsInit",
    "C_Finalize",
    "C_GenerateRandom",
    "C_GetAttributeValue",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_Initialize",
    "C_Login",
    "C_OpenSession",
    "C_Sign",
    "C_SignInit",
    "C_Verify",
    "C_VerifyInit",
];

/// What passes by itself: a lost token is not refused for good because of one of them.
const PASSING: [&str; 3] = ["CKR_DEVICE_REMOVED", "CKR_GENERAL_ERROR", "CKR_VENDOR_DEFINED"];

/// Every function that the adapter calls on the authority's side is in one of the lists.
pub(crate) async fn counted() {
    let mut rig = Rig::serving().await;
    let opened = rig.shim.calls();
    for _ in 0..2 {
        rig.ready().await;
        let asked = rig.ask().await;
        assert_eq!(rig.judge(&asked, "no fault"), Vec::<String>::new());
        let failed = Fault::of("C_SignInit", Some(1), Action::Answer(0x30));
        rig.shim.set(0, failed);
        let asked = rig.ask().await;
        rig.shim.clear();
        assert_eq!(rig.judge(&asked, "one fault"), Vec::<String>::new());
    }
    let served = rig.shim.calls();
    rig.end().await;
    let ended = rig.shim.calls();
    let calls = |now: &[(&'static str, u64)], before: &[(&'static str, u64)]| {
        let old = |name| before.iter().find(|(known, _)| *known == name).map_or(0, |(_, n)| *n);
        let new = now.iter().filter(|(name, n)| *n > old(*name));
        let mut names: Vec<_> = new.map(|(name, _)| format!("C_{name}")).collect();
        names.sort();
        names
    };
    println!("calls of a start: {opened:?}\nand with four rounds of work: {ended:?}");
    assert_eq!(calls(&served, &opened), serving::CALLED);
    let all = calls(&ended, &[]);
    let known = |name: &String| CALLED.contains(&name.as_str()) || serving::CALLED.contains(&name.as_str());
    assert_eq!(all.iter().find(|name| !known(name)), None, "no list has it");
    for name in CALLED.iter().chain(&serving::CALLED) {
        assert!(all.iter().any(|called| called == name), "{name} is not called");
    }
}

pub(crate) async fn start() {
    let mut rig = Rig::serving().await;
    let mut table = Table::new("at the start");
    rig.ready().await;
    for function in CALLED {
        for (name, value) in values() {
            for times in times_of(name) {
                let what = format!("{function} {name} {times:?}");
                // The end of the process before is under the fault too: `Rig::start` begins with it.
                rig.shim.set(0, Fault::of(function, times, Action::Answer(value)));
                let started = rig.start().await;
                let struck = rig.shim.struck(0);
                rig.shim.clear();
                let clock = SystemClock::new();
                let ended = match started {
                    Ok(()) if struck == 0 => Ended::Untouched,
                    Ok(()) => Ended::Served,
                    Err(reason) => {
                        if reason.is_empty() {
                            table.findings.push(format!("{what}: no reason"));
                        }
                        rig.start().await.expect(&what);
                        Ended::Stopped
                    }
                };
                rig.back(None).await;
                rig.ready().await;
                table.findings.extend(rig.serves_again(None, &what).await);
                table.add(function, ended, clock.uptime());
            }
        }
    }
    rig.end().await;
    table.show();
}

/// The pool's own part is in `serving`: here each opening alone, so that it need not wait out the pool's pauses.
pub(crate) fn again() {
    let config = config("authority");
    let shim = crate::shim::Shim::open(std::path::Path::new("control"));
    let first = || {
        let device = Device::open(&config).unwrap();
        let mac = *device.tokens().unwrap()[0].mac(MacKey::Print, b"one message").unwrap().expose();
        (device.into_source(&config), mac)
    };
    let (mut source, mac) = first();
    let mut table = Table::new("when it is opened again");
    let (mut fatal, mut held) = (0_usize, source.open().unwrap());
    for function in CALLED {
        for (name, value) in values() {
            for times in times_of(name) {
                let what = format!("{function} {name} {times:?}");
                shim.set(0, Fault::of(function, times, Action::Answer(value)));
                // As the pool does it: first every worker lets go.
                held.clear();
                let opened = source.open();
                let struck = shim.struck(0);
                shim.clear();
                let clock = SystemClock::new();
                let (ended, tokens) = match opened {
                    Ok(tokens) if struck == 0 => (Ended::Untouched, tokens),
                    Ok(tokens) => (Ended::Served, tokens),
                    Err(OpenError::Again(error)) => {
                        if error.to_string().is_empty() {
                            table.findings.push(format!("{what}: no reason"));
                        }
                        (Ended::Unavailable, source.open().expect(&what))
                    }
                    Err(OpenError::Fatal(error)) => {
                        if error.to_string().is_empty() {
                            table.findings.push(format!("{what}: no reason"));
                        }
                        if PASSING.contains(&name) {
                            table.findings.push(format!("{what}: refused for good: {error}"));
                        }
                        fatal += 1;
                        // The next process.
                        source = first().0;
                        (Ended::Stopped, source.open().expect(&what))
                    }
                };
                let mut tokens = tokens;
                if *tokens[0].mac(MacKey::Print, b"one message").unwrap().expose() != mac {
                    table.findings.push(format!("{what}: another MAC"));
                }
                tokens[0].probe().unwrap();
                table.add(function, ended, clock.uptime());
                held = tokens;
            }
        }
    }
    drop(held);
    println!("{fatal} openings were refused for good, with a reason");
    table.show();
}
