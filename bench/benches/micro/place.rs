//! Where cases put their files, and the token that they ask: made anew for each run, beside the build.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sigillo::{hsm::config::Config, store::durable};
use sigillo_bench::installation::run;

/// A directory of this build's profile, such as `target/release/micro`.
pub(crate) fn directory() -> Result<PathBuf, String> {
    Ok(profile()?.join("micro"))
}

/// The directory of this build's programs: this one lies in its `deps`.
fn profile() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let profile = own.parent().and_then(Path::parent).map(Path::to_owned);
    profile.ok_or_else(|| format!("{} is in no directory of a build", own.display()))
}

/// The authority's token.
pub(crate) fn hsm() -> Result<Config, String> {
    Config::load(&directory()?.join("demo/authority/hsm.toml")).map_err(|e| e.to_string())
}

/// Whether the token is there and this process has the variables of its module.
pub(crate) fn is_ready() -> bool {
    let missing = hsm().and_then(|config| config.missing_environment().map_err(|e| e.to_string()));
    missing.is_ok_and(|missing| missing.is_empty())
}

/// What this program is started again with.
pub(crate) struct Place {
    environment: Vec<(String, String)>,
}

/// Makes the token, and lets sled open its files in all children.
pub(crate) fn make() -> Result<Place, String> {
    let (directory, sigillo) = (directory()?, profile()?.join("sigillo"));
    if !sigillo.is_file() {
        return Err(format!(
            "{} is not there, and makes the token: build it first, with the same profile (make bench-micro does)",
            sigillo.display()
        ));
    }
    match fs::remove_dir_all(&directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {e}", directory.display()));
        }
        Err(_) | Ok(()) => {}
    }
    fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    run(Command::new(sigillo).args(["init", "--cards", "1", "--demo"]).arg(directory.join("demo")))?;
    durable::deny_sync_file_range().map_err(|e| e.to_string())?;
    let environment = hsm()?.missing_environment().map_err(|e| e.to_string())?;
    Ok(Place { environment })
}

impl Place {
    /// A command with the variables of the token's module.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// This program with the same arguments, to its end.
    pub(crate) fn again(&self) -> Result<(), String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let arguments = std::env::args_os().skip(1);
        let status = self.command(own).args(arguments).status().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the measurements ended with {status}")) }
    }
}
