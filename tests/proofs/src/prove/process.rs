//! The time of the decision itself, inside the process: without store, token, TLS and tick.

use std::fs;

use sigillo_proofs::claim::Claim;

use crate::{
    Run,
    child::cargo_test_as_released,
    series::{self, Bounds},
};

/// Of one decision, in nanoseconds.
const BOUND_NS: f64 = 100.0;

/// A unit test of the decision writes its times; what they say is said here.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let file = run.directory.join("times.csv");
    let path = std::path::absolute(&file).map_err(|e| e.to_string())?;
    let path = path.to_str().ok_or("a path that is not UTF-8")?;
    let tuples = if run.arguments.short { "20000" } else { "400000" };
    let test = "service::verify::subject::tests::every_class_is_decided_by_its_values";
    let arguments = ["-p", "sigillo", "--lib", "--", "--exact", test];
    let said =
        cargo_test_as_released(run, &arguments, &[("SIGILLO_TUPLES", tuples), ("SIGILLO_TIMES", path)])?;
    if !said.succeeded || said.passed != 1 {
        return Err(format!("{test} did not pass: why is in {}", said.output()));
    }
    let text = fs::read_to_string(&file).map_err(|e| format!("{path}: {e}"))?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().ok_or("no times")?.split(',').collect();
    let row = |line: &str| line.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>();
    let times = lines.map(row).collect::<Result<Vec<_>, _>>().map_err(|e| format!("{path}: {e}"))?;
    // Nothing waits for a tick here.
    Ok(series::claims(run, (&names, &times), &Bounds { time: BOUND_NS, unit: "ns", late: None }))
}
