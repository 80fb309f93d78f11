//! Starts this program again with variables that a PKCS#11 module reads when it is loaded.
//!
//! Setting a variable of a running process is unsafe, since another thread may be reading the environment. To
//! replace the process by itself with a new environment is safe, and keeps pid, descriptors and service manager.

use std::{os::unix::process::CommandExt, process::Command};

/// Set in the new process to what was missing, so that it does not start itself for ever. A child with another
/// configuration misses something else and is not held up.
const GUARD: &str = "SIGILLO_ENVIRONMENT_SET";

/// Why the program could not be started again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It already was, and the variables still are not there.
    #[error("started again for {0}, which still does not have its value")]
    Loop(String),
    /// The system refused.
    #[error("cannot start this program again: {0}")]
    System(#[from] std::io::Error),
}

/// Returns at once if nothing is missing; otherwise replaces this process by the same program with the same
/// arguments and the variables set, and returns only if that failed. Call it before any thread is started.
pub fn with_environment(missing: &[(String, String)]) -> Result<(), Error> {
    let Some((first, _)) = missing.first() else {
        return Ok(());
    };
    let lines: Vec<String> = missing.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = lines.join("\n");
    if std::env::vars_os().any(|(name, value)| name == GUARD && value == *mark) {
        return Err(Error::Loop(first.clone()));
    }
    let mut command = Command::new(std::env::current_exe()?);
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(GUARD, mark);
    command.envs(missing.iter().map(|(name, value)| (name, value)));
    Err(Error::System(command.exec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_missing_is_nothing_done() {
        with_environment(&[]).unwrap();
    }
}
