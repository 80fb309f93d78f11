//! What a process that handles secrets gives up for good, before it serves anybody.
//!
//! In this order: core dumps, reading by others, new privileges ([`process::give_up`]); swap
//! ([`process::lock_memory`]); files and ports that the configuration does not name ([`paths`], Landlock); system
//! calls that it does not need ([`calls`], seccomp). Each step is read back from the kernel; what does not hold is an
//! error, and the process does not start. To be called while the process has one thread: threads inherit all of it.
//!
//! It must never be undone or widened at run time, and it knows nothing of what the process does: each part of the
//! configuration says what it needs by a [`Profile`], and the command adds them up.

pub mod calls;
pub mod paths;
pub mod process;

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// How much of the confinement must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What the kernel has; what it has not is a warning.
    BestEffort,
    /// Neither Landlock nor the list of system calls: for finding out what a new PKCS#11 module needs.
    Off,
    /// A kernel without Landlock or seccomp is refused. Rules for ports are kept where the kernel has them (6.7).
    #[default]
    Required,
}

/// `[process]` of a command's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether no page of the process may be swapped out; needs `RLIMIT_MEMLOCK` without limit.
    pub lock_memory: bool,
    /// How much of the confinement must be there.
    pub sandbox: Mode,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lock_memory: true, sandbox: Mode::Required }
    }
}

/// `[sandbox]` of a token's configuration: what its PKCS#11 module needs beside what is known of every module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Extra {
    /// Files and directories that it reads.
    pub read: Vec<PathBuf>,
    /// Files and directories that it writes.
    pub write: Vec<PathBuf>,
    /// TCP ports that it connects to.
    pub connect: Vec<u16>,
    /// Whether it looks up names of hosts.
    pub resolve: bool,
    /// System calls of [`calls::EXTRA`].
    pub calls: Vec<String>,
}

/// What a process may do. Everything else is refused with `EPERM` or `EACCES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Files, and directories with all that is below them, that it reads. Where a file is replaced while the
    /// process runs, its directory has to be given: a rule holds for what has the name now.
    pub read: Vec<PathBuf>,
    /// Directories whose names it reads, and those below; no file in them.
    pub list: Vec<PathBuf>,
    /// Files, and directories with all that is below them, that it reads, makes, changes and removes.
    pub write: Vec<PathBuf>,
    /// TCP ports that it listens on; 0 is any free one.
    pub bind: Vec<u16>,
    /// TCP ports that it connects to.
    pub connect: Vec<u16>,
    /// Whether it looks up names of hosts: the resolver's files, and port 53.
    pub resolve: bool,
    /// System calls of [`calls::EXTRA`].
    pub calls: Vec<String>,
}

impl Profile {
    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.read.extend(other.read);
        self.list.extend(other.list);
        self.write.extend(other.write);
        self.bind.extend(other.bind);
        self.connect.extend(other.connect);
        self.resolve |= other.resolve;
        self.calls.extend(other.calls);
        self
    }
}

/// Directories of a file: by its name, and by where the name leads. A file that is replaced under its name, as
/// certificates are, is still read.
pub fn directories(file: &Path) -> Vec<PathBuf> {
    let above = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    };
    let mut all = vec![above(file)];
    if let Ok(real) = file.canonicalize() {
        all.push(above(&real));
    }
    all
}

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step was taken and does not hold.
    #[error("process protection does not hold: {0}")]
    NotHeld(&'static str),
    /// The limit for locked memory.
    #[error(
        "memory cannot be locked, so that secrets could be swapped out: RLIMIT_MEMLOCK is {0}. Give the service \
         LimitMEMLOCK=infinity (systemd) or `memlock unlimited` (limits.conf); where nothing is worth stealing, \
         lock_memory = false in [process] does without"
    )]
    MemoryLimit(String),
    /// The kernel has no Landlock, or it is not enabled.
    #[error(
        "this kernel does not enforce Landlock, which keeps the process to its own files: Linux 5.13 or later with \
         `landlock` in its list of security modules; sandbox = \"best_effort\" in [process] does without"
    )]
    NoLandlock,
    /// Landlock refused the rules.
    #[error("cannot install the rules for files and ports: {0}")]
    Paths(#[from] landlock::RulesetError),
    /// The filter of system calls cannot be made or installed.
    #[error("cannot install the filter of system calls: {0}")]
    Calls(#[from] calls::Error),
    /// The system.
    #[error("process protection: {0}")]
    System(#[from] std::io::Error),
}

/// Locks memory and confines the process, as far as the settings say. [`process::give_up`] comes before; it has no
/// switch. The process must have one thread.
///
/// # Errors
/// [`Error`]: the process must not go on.
pub fn enter(settings: Settings, profile: &Profile) -> Result<(), Error> {
    if settings.lock_memory {
        process::lock_memory()?;
    } else {
        tracing::warn!("lock_memory = false: memory of this process may be swapped out, secrets with it");
    }
    let required = match settings.sandbox {
        Mode::Off => {
            tracing::warn!(
                "sandbox = \"off\": this process may use any file, port and system call of its user"
            );
            return Ok(());
        }
        Mode::BestEffort => false,
        Mode::Required => true,
    };
    match paths::confine(profile)? {
        paths::Held::FilesAndPorts => tracing::info!("confined to its files, ports and system calls"),
        paths::Held::Files => tracing::warn!(
            "confined to its files and system calls; this kernel cannot confine it to its ports (Linux 6.7 can)"
        ),
        paths::Held::Nothing if required => return Err(Error::NoLandlock),
        paths::Held::Nothing => {
            tracing::warn!("confined to its system calls only: this kernel does not enforce Landlock");
        }
    }
    match calls::confine(profile) {
        Ok(()) => Ok(()),
        Err(error) if required => Err(error.into()),
        Err(error) => {
            tracing::warn!("not confined to its system calls: {error}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_settings_are_the_default() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings, Settings { lock_memory: true, sandbox: Mode::Required });
        assert!(toml::from_str::<Settings>("sandbox = \"none\"").is_err());
        assert!(toml::from_str::<Settings>("lock = true").is_err());
    }

    #[test]
    fn a_file_behind_a_link_is_read_in_both_places() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for made in ["live", "archive"] {
            std::fs::create_dir(root.join(made)).unwrap();
        }
        std::fs::write(root.join("archive/cert.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/cert.pem", root.join("live/cert.pem")).unwrap();
        assert_eq!(directories(&root.join("live/cert.pem")), [root.join("live"), root.join("archive")]);
        assert_eq!(directories(Path::new("missing.pem")), [Path::new(".")]);
    }
}
