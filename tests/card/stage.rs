//! A pcscd of the test's own, in namespaces of the test's own thread and of what it starts: its socket is on a file system
//! that nobody else sees, and the virtual readers listen in a network that has nothing but itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use sigillo::clock::{Clock, SystemClock};
use tempfile::TempDir;

/// Ports of the two virtual readers. Each takes one card: after that has left, version 0.8 of the reader sees no other.
pub(crate) const READERS: [u16; 2] = [35_963, 35_964];

/// The names that pcscd gives to the readers hold these.
pub(crate) const NAMES: [&str; 2] = ["00 00", "00 01"];

pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    daemon: Child,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.daemon.kill();
        self.daemon.wait().unwrap();
    }
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
        let binary = find("pcscd").expect("pcscd is not installed: make deps");
        // From 2.0.1 on it asks polkit, which no container runs.
        let help = Command::new(&binary).arg("--help").output().unwrap();
        let polkit = String::from_utf8_lossy(&help.stdout).contains("disable-polkit");
        let log = fs::File::create(dir.path().join("pcscd.log")).unwrap();
        let daemon = Command::new(&binary)
            .arg("--foreground")
            .args(polkit.then_some("--disable-polkit"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let stage = Self { dir, daemon };
        until("the virtual readers (vsmartcard-vpcd: make deps)", || {
            READERS.iter().all(|port| listening(*port))
        });
        stage
    }

    /// The namespaces alone.
    pub(crate) fn without_daemon() -> TempDir {
        let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
        unshare(flags).expect("namespaces of its own take root, or `unshare -r cargo test --test card`");
        let none = None::<&Path>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        fs::create_dir("/run/pcscd").unwrap();
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .expect("ip is not installed: make deps");
        assert!(up.success());
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

/// Whether somebody listens there, by the kernel's table: a connection would be taken for a card.
pub(crate) fn listening(port: u16) -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    table.contains(&format!(":{port:04X} 00000000:0000 0A"))
}

fn find(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
