//! The message centre of `smsc.pl`, as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// What it lets in with; 8 characters at most.
pub(crate) const PASSWORD: &str = "segreto";

/// The message centre. Ended when dropped.
pub(crate) struct Centre {
    dir: TempDir,
    child: Child,
    pub(crate) port: u16,
}

impl Centre {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, port) = spawn(dir.path(), 0);
        Self { dir, child, port }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.port) = spawn(self.dir.path(), self.port);
    }

    /// From now on receipts are brought.
    pub(crate) fn brings_receipts(&self) {
        fs::write(self.dir.path().join("receipts"), "").unwrap();
    }

    /// Lines that it wrote, as words.
    pub(crate) fn noted(&self, name: &str) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn spawn(dir: &Path, port: u16) -> (Child, u16) {
    let mut child = Command::new("/usr/bin/perl")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smsc.pl"))
        .arg(dir)
        .args([&port.to_string(), PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().expect("smsc.pl (libnet-smpp-perl) prints its port"))
}
