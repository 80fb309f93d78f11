//! A stage of the test's own thread: a pcscd with virtual readers that nobody else sees, and a directory.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use sigillo::clock::{Clock, SystemClock};
use sigillo_vcard::reader::{Pcscd, own_network, own_run};
use tempfile::TempDir;

pub(crate) struct Stage {
    dir: TempDir,
    _daemon: Pcscd,
}

/// Waits for a condition, not longer than half a minute.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !holds() {
        assert!(clock.uptime() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Stage {
    /// Takes the thread into its own namespaces and starts pcscd there.
    pub(crate) fn new() -> Self {
        let dir = Self::without_daemon();
        let daemon = Pcscd::start(&dir.path().join("pcscd.log")).unwrap();
        Self { dir, _daemon: daemon }
    }

    /// The namespaces alone.
    pub(crate) fn without_daemon() -> TempDir {
        let apart = own_run().and_then(|()| own_network());
        apart.expect("namespaces take root, or `unshare -r cargo test --test card`");
        tempfile::tempdir().unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file of the stage with this content, mode 0400.
    pub(crate) fn secret(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        sigillo::files::write_new(&path, content.as_bytes(), 0o400).unwrap();
        path
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigillo"));
    command.args(["--log-level", "debug", "card"]).stdin(Stdio::null());
    command
}

pub(crate) fn sigillo<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    command().args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
