//! What the code of the decision branches on: a unit test of it, run by valgrind.

use sigillo_proofs::claim::Claim;

use crate::{Run, child::cargo_test_as_released};

/// It marks its secrets, counts and says the claim itself.
const TEST: &str = "service::verify::subject::tests::marked::no_branch_and_no_address_depends_on_a_secret";

/// Cargo starts the test's program by valgrind; where a secret decides is in `sigillo.err` beside the result.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let valgrind = ["valgrind", "--error-limit=no", "--expensive-definedness-checks=yes", "--vgdb=yes"];
    let runner = format!("--config=target.'cfg(all())'.runner={valgrind:?}");
    let arguments = [&runner, "-p", "sigillo", "--lib", "--", "--exact", TEST, "--nocapture"];
    let said = cargo_test_as_released(run, &arguments, &[("SIGILLO_VALGRIND", "1")])?;
    if said.claims.is_empty() {
        let output = said.output();
        return Err(format!("{TEST} said nothing: why is in {output}; valgrind comes by `make deps`"));
    }
    Ok(said.claims)
}
