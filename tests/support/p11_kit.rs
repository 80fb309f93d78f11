//! A `p11-kit server` in front of SoftHSM: a token on the other side of a socket, with a process of its own for
//! each connection. Every process here is ended by its own pid.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// SoftHSM's module.
pub(crate) fn softhsm() -> PathBuf {
    first(&["softhsm/libsofthsm2.so", "pkcs11/libsofthsm2.so"])
}

/// The module that speaks to a server.
pub(crate) fn client() -> PathBuf {
    first(&["pkcs11/p11-kit-client.so"])
}

/// Distributions differ in where they keep modules.
fn first(names: &[&str]) -> PathBuf {
    let of_machine = |lib: &Path| fs::read_dir(lib).into_iter().flatten().map(|entry| entry.unwrap().path());
    let places: Vec<PathBuf> = ["/usr/lib", "/usr/lib64"]
        .iter()
        .flat_map(|lib| std::iter::once(PathBuf::from(lib)).chain(of_machine(Path::new(lib))))
        .collect();
    let found =
        names.iter().find_map(|name| places.iter().map(|at| at.join(name)).find(|path| path.exists()));
    found.unwrap_or_else(|| panic!("no {names:?} here: make deps"))
}

/// A server that listens at a socket. Dropping it ends it and what it started.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts one for the tokens of a SoftHSM configuration, and waits until it listens.
    pub(crate) fn start(socket: &Path, conf: &Path) -> Self {
        drop(fs::remove_file(socket)); // a killed server leaves it
        let child = Command::new("p11-kit")
            .args(["server", "--foreground", "--sh", "--name"])
            .arg(socket)
            .arg("--provider")
            .arg(softhsm())
            .arg("pkcs11:")
            .env("SOFTHSM2_CONF", conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("p11-kit is installed: make deps");
        let mut server = Self { child };
        for _ in 0..2000 {
            if std::os::unix::net::UnixStream::connect(socket).is_ok() {
                return server;
            }
            assert!(server.child.try_wait().unwrap().is_none(), "the p11-kit server ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the p11-kit server does not listen");
    }

    /// What a client's variable `P11_KIT_SERVER_ADDRESS` has.
    pub(crate) fn address(socket: &Path) -> String {
        format!("unix:path={}", socket.display())
    }

    /// The processes of its connections.
    pub(crate) fn connections(&self) -> Vec<Pid> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// `kill -9` of server and connections.
    pub(crate) fn kill(&mut self) {
        let connections = self.connections();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        for pid in connections {
            kill_process(pid, Signal::KILL).ok(); // one that has ended is not there to be told
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}
