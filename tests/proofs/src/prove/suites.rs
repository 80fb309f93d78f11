//! Existing tests as proofs: with more rounds, optimised.

use std::process::Command;

use sigillo_proofs::claim::Claim;

use crate::{
    Run,
    child::{Said, cargo_test, run_child},
};

const SCHEMATHESIS: &str = "schemathesis.sh";

/// A claim that stands on tests: each of them panics if it does not hold.
fn by_tests(run: &Run<'_>, claim: &str, figure: &str, said: &Said, least: u64) -> Claim {
    let tests = format!("{} tests passed, {} failed", said.passed, said.failed);
    let figure = if figure.is_empty() { tests } else { format!("{figure}; {tests}") };
    let holds = said.succeeded && said.failed == 0 && said.passed >= least;
    let figure = if holds { figure } else { format!("{figure}; what it said is in {}", said.output()) };
    run.claim(claim, (figure, format!("at least {least} tests, none failed")), holds, None)
}

fn rounds(run: &Run<'_>, full: &'static str, short: &'static str) -> &'static str {
    if run.arguments.short { short } else { full }
}

/// The model of tries, and the service beside it. The tests make their claims themselves.
pub(crate) fn model(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let arguments = [
        "-p",
        "sigillo",
        "--test",
        "service",
        "--",
        "model::",
        "replay::",
        "--nocapture",
        "--test-threads=1",
    ];
    let said = cargo_test(run, &arguments, &[])?;
    let whole = by_tests(run, "model and walks", "", &said, 2);
    // A claim that is missing is not one that holds.
    let all = whole.holds && said.claims.len() == 2;
    Ok(if all { said.claims } else { vec![Claim { holds: false, ..whole }] })
}

/// The service and the store, killed under load, and stopped at every step.
pub(crate) fn crashes(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    run.bar.set_length(3);
    let steps = cargo_test(run, &["-p", "sigillo", "--test", "service", "faults"], &[])?;
    run.bar.inc(1);
    // Two tests kill the service.
    let kills = rounds(run, "500", "6");
    let arguments = ["-p", "sigillo", "--test", "api", "crash::", "--", "--nocapture"];
    let service = cargo_test(run, &arguments, &[("SIGILLO_ROUNDS", kills)])?;
    run.bar.inc(1);
    let kills = rounds(run, "1000", "6");
    let arguments = ["-p", "sigillo", "--test", "store", "kill::", "--", "--nocapture"];
    let store = cargo_test(run, &arguments, &[("SIGILLO_ROUNDS", kills)])?;
    run.bar.inc(1);
    Ok(vec![
        by_tests(
            run,
            "failed, or stopped before or after it, at every commit and every call of the token of every operation, an operation is done \
             once or not at all, and gives no try back",
            "",
            &steps,
            12,
        ),
        by_tests(
            run,
            "killed (SIGKILL) under load, the service keeps what it acknowledged, gives no try back, and its log is whole",
            &service.with(&["kills, "]),
            &service,
            2,
        ),
        by_tests(
            run,
            "killed (SIGKILL) at any moment, the store keeps every acknowledged unit",
            &format!("{kills} kills"),
            &store,
            1,
        ),
    ])
}

/// The same tests over three PKCS#11 modules.
pub(crate) fn tokens(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    run.bar.set_length(4);
    made_by(run, "kryoptic.sh")?;
    run.bar.inc(1);
    for kind in ["softhsm", "kryoptic", "p11-kit"] {
        let said = cargo_test(run, &["-p", "sigillo", "--test", "hsm"], &[("SIGILLO_HSM", kind)])?;
        run.bar.inc(1);
        claims.push(by_tests(run, &format!("the token's rules hold on {kind}"), "", &said, 10));
    }
    if !run.arguments.short {
        let all =
            ["-p", "sigillo", "--test", "api", "--", "--skip", "memory::", "--skip", "snapshot::", "--skip"];
        let variables = [("SIGILLO_HSM", "p11-kit"), ("SIGILLO_ROUNDS", "20")];
        let said = cargo_test(run, &[&all[..], &["contract::"]].concat(), &variables)?;
        claims.push(by_tests(
            run,
            "the whole API behaves the same with its token behind p11-kit",
            "",
            &said,
            50,
        ));
    }
    Ok(claims)
}

/// A module that fails on demand.
pub(crate) fn faults(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    run.bar.set_length(2);
    let variables = if run.arguments.short { &[][..] } else { &[("SIGILLO_ROUNDS", "100")] };
    let all = cargo_test(run, &["-p", "sigillo", "--test", "hsm_faults", "--", "--nocapture"], variables)?;
    run.bar.inc(1);
    let whole = cargo_test(run, &["-p", "sigillo", "--test", "api", "hsm_shim::", "--", "--nocapture"], &[])?;
    run.bar.inc(1);
    Ok(vec![
        by_tests(
            run,
            "whatever value any call of the token answers, no wrong code is accepted, the tries of a card are those that the log tells \
             of, nothing panics, and it serves again or is stopped with a reason",
            &all.with(&[" cells", "served again at most", "refused for good"]),
            &all,
            4,
        ),
        by_tests(run, "so it is with a whole installation, over HTTP", "", &whole, 1),
    ])
}

/// Who means no good, before any request.
pub(crate) fn floods(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let arguments = ["-p", "sigillo", "--test", "api", "floods::", "--", "--nocapture"];
    let said = cargo_test(run, &arguments, &[])?;
    let claim = "10,000 beginnings that are no TLS leave healthy clients served and memory bounded; a scanner finds nothing";
    Ok(vec![by_tests(run, claim, "", &said, 2)])
}

/// A program that tests need and `make deps` does not install.
fn made_by(run: &Run<'_>, script: &str) -> Result<(), String> {
    let mut make = Command::new("sh");
    make.arg(format!("tests/support/{script}"));
    let said = run_child(run, make, script)?;
    if said.succeeded {
        Ok(())
    } else {
        Err(format!("tests/support/{script} failed: what is missing is in {}", said.err.display()))
    }
}

/// The served description against the service.
pub(crate) fn contract(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    made_by(run, SCHEMATHESIS)?;
    let requests = rounds(run, "20000", "500");
    let arguments = ["-p", "sigillo", "--test", "api", "contract::", "--", "--nocapture"];
    let said = cargo_test(run, &arguments, &[("SIGILLO_CONTRACT", requests)])?;
    let figure = said.with(&[" requests, no failure"]);
    Ok(vec![by_tests(run, "every answer to generated requests is as described", &figure, &said, 1)])
}

/// Everything else.
pub(crate) fn all(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    if run.arguments.short {
        let said = cargo_test(run, &["-p", "sigillo", "--test", "service", "--test", "domain"], &[])?;
        return Ok(vec![by_tests(
            run,
            "the tests of service and domain pass in an optimised build",
            "",
            &said,
            200,
        )]);
    }
    // One of them is what `contract` runs at length.
    made_by(run, SCHEMATHESIS)?;
    let said = cargo_test(run, &["--workspace"], &[])?;
    Ok(vec![by_tests(run, "every test of the project passes in an optimised build", "", &said, 500)])
}
