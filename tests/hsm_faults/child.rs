//! A module is configured once a process, so each matrix runs in a child: this test binary again.

use std::process::Command;

use crate::{
    contact,
    kind::kind,
    lab::Lab,
    opening,
    p11_kit::softhsm,
    serving,
    shim::{self, Shim},
};

/// Names the act to the child.
pub(crate) const ACT: &str = "SIGILLO_TEST_ACT";

const ACTS: [(&str, fn()); 7] = [
    ("serving", || wait(serving::every_value())),
    ("serving_key", || wait(serving::one_key())),
    ("serving_otherwise", || wait(serving::otherwise())),
    ("start", || wait(opening::start())),
    ("again", opening::again),
    ("counted", || wait(opening::counted())),
    ("contact", || wait(contact::every_value())),
];

/// In a child: the act that it is told. Elsewhere: every act has a test.
#[test]
fn child() {
    match std::env::var_os(ACT) {
        Some(name) => {
            let (_, act) = ACTS.iter().find(|(known, _)| name == *known).expect("a known act");
            act();
        }
        None => {
            let asked = include_str!("child.rs");
            for (name, _) in ACTS {
                assert_eq!(asked.matches(&format!("\"{name}\"")).count(), 2, "nobody asks for {name}");
            }
        }
    }
}

fn wait(act: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(act);
}

/// Runs an act on new tokens; what it said is shown.
#[track_caller]
fn run(role: &str, act: &str) {
    let lab = Lab::with_keys();
    let control = lab.path("control");
    drop(Shim::create(&control));
    let ours = format!("module = {:?}", shim::module());
    lab.replace(&format!("{role}.toml"), &format!("module = {:?}", softhsm()), &ours);
    let (variable, value) = lab.variable(role);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::child", "--nocapture"])
        .current_dir(lab.path(""))
        .env(ACT, act)
        .env(variable, value)
        .env(shim::MODULE, kind().direct())
        .env(shim::CONTROL, &control)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success() && out.contains("running 1 test"), "{out}\n{err}");
}

#[test]
fn every_value_of_every_function_while_it_serves() {
    run("authority", "serving");
}

/// Only one key of the token fails, every time: it is seen before the citizens' tries are used up.
#[test]
fn a_key_that_fails_alone_is_a_lost_token() {
    run("authority", "serving_key");
}

#[test]
fn late_hung_cut_and_forgotten_while_it_serves() {
    run("authority", "serving_otherwise");
}

#[test]
fn every_value_of_every_function_at_the_start() {
    run("authority", "start");
}

#[test]
fn every_value_of_every_function_when_a_lost_token_is_opened_again() {
    run("authority", "again");
}

/// What the matrices go through is what the adapter calls.
#[test]
fn the_functions_of_the_matrices_are_those_that_are_called() {
    run("authority", "counted");
}

#[test]
fn every_value_of_every_function_that_opens_a_contact() {
    run("courier", "contact");
}
