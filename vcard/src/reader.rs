//! A pcscd of one's own with virtual readers. Its socket is on a file system that only the thread which asked for that and
//! what it starts see; the readers listen on every address, so they are put into a network that has nothing but itself.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Ports of the two virtual readers. Each takes one card: after that has left, version 0.8 of the reader sees no other.
pub const READERS: [u16; 2] = [35_963, 35_964];

/// The names that pcscd gives to the readers hold these.
pub const NAMES: [&str; 2] = ["00 00", "00 01"];

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Half a minute.
const PATIENCE: u32 = 1500;

/// Gives the calling thread, and what it starts from now on, a `/run` without any pcscd.
///
/// # Errors
/// A sentence; where the process is not root, above all.
pub fn own_run() -> Result<(), String> {
    let none = None::<&Path>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("a mount namespace of one's own: {e}"))?;
    let mounted = mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .and_then(|()| mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none));
    mounted.map_err(|e| format!("a /run of one's own: {e}"))?;
    fs::create_dir("/run/pcscd").map_err(|e| format!("/run/pcscd: {e}"))
}

/// Gives the calling thread, and what it starts from now on, a network that has nothing but itself.
///
/// # Errors
/// A sentence.
pub fn own_network() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("a network of one's own: {e}"))?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    match up.map_err(|e| format!("ip: {e} (make deps)"))?.success() {
        true => Ok(()),
        false => Err("ip link set lo up: failed".into()),
    }
}

/// A running pcscd; dropped, it is ended.
#[derive(Debug)]
pub struct Pcscd(Child);

impl Drop for Pcscd {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Pcscd {
    /// Starts it in the namespaces of the calling thread, which [`own_run`] and [`own_network`] have made, and waits for its
    /// readers.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(log: &Path) -> Result<Self, String> {
        let binary = find("pcscd").ok_or("pcscd is not installed: make deps")?;
        let failed = |e: std::io::Error| format!("{}: {e}", binary.display());
        // From 2.0.1 on it asks polkit, which no container runs.
        let help = Command::new(&binary).arg("--help").output().map_err(failed)?;
        let polkit = String::from_utf8_lossy(&help.stdout).contains("disable-polkit");
        let at = |e: std::io::Error| format!("{}: {e}", log.display());
        let file = File::create(log).map_err(at)?;
        let daemon = Command::new(&binary)
            .arg("--foreground")
            .args(polkit.then_some("--disable-polkit"))
            .stdout(file.try_clone().map_err(at)?)
            .stderr(file)
            .stdin(Stdio::null())
            .spawn();
        let started = Self(daemon.map_err(failed)?);
        for _ in 0..PATIENCE {
            if READERS.iter().all(|port| listening(*port)) {
                return Ok(started);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err("pcscd has no virtual readers (vsmartcard-vpcd: make deps)".into())
    }
}

/// Whether somebody listens there, by the kernel's table: a connection would be taken for a card.
pub fn listening(port: u16) -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    table.contains(&format!(":{port:04X} 00000000:0000 0A"))
}

fn find(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

/// OpenSC's PKCS#11 module, which finds the card in these readers as it finds real ones.
pub fn opensc() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let fixed = PathBuf::from("/usr/lib64");
    let mut places = libraries.chain([fixed]).map(|library| library.join("pkcs11/opensc-pkcs11.so"));
    places.find(|path| path.exists()).expect("opensc-pkcs11 is not installed: make deps")
}
