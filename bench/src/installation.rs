//! An installation of one's own: mail relay, Kannel, authority and courier as separate processes, ended by their own
//! pids.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::lchown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use crate::limits;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

/// Addresses of an installation, on this machine alone.
pub const API: &str = "127.0.0.1:8443";
/// Where operators connect with their own cards.
pub const DIRECT: &str = "127.0.0.1:8444";
/// Liveness, readiness, metrics.
pub const INTERNAL: &str = "127.0.0.1:9464";
const SMTP_PORT: &str = "2525";
/// Where Kannel takes text messages, and where it reports to.
const SMS: &str = "127.0.0.1:13013";
const RECEIPTS: &str = "127.0.0.1:13099";
/// What else the shipped `kannel.conf` listens on; the last is the network's.
const KANNEL: [&str; 3] = ["127.0.0.1:13000", "127.0.0.1:13001", "127.0.0.1:10000"];
/// Kannel's own stand-in for a network (Debian's kannel-extras).
const NETWORK: &str = "/usr/lib/kannel/test/fakesmsc";
/// What `sigillo init --demo` leaves in what it makes: nothing else is ever removed.
const MARKER: &str = ".sigillo-demo";
/// Debian's Python: the one that has aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";
/// User and group `nobody` of Debian.
const NOBODY: u32 = 65_534;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: u32 = 600;

/// Processes of an installation. Dropping it ends them.
#[derive(Debug)]
pub struct Installation {
    directory: PathBuf,
    /// In the order of their start.
    processes: Vec<(&'static str, Child)>,
    courier_apart: bool,
}

impl Installation {
    /// Makes a new installation in `directory` with this many fictional cards. A former demonstration is removed;
    /// anything else is not.
    ///
    /// # Errors
    /// A sentence.
    pub fn make(sigillo: &Path, directory: &Path, cards: u64) -> Result<Self, String> {
        let smtp = format!("127.0.0.1:{SMTP_PORT}");
        for address in [API, DIRECT, INTERNAL, &smtp, SMS, RECEIPTS].into_iter().chain(KANNEL) {
            let busy = |e| {
                format!(
                    "{address}: {e}; is a demonstration running? End it first (Ctrl-C), or end what `ss -ltnp` shows at that port"
                )
            };
            drop(TcpListener::bind(address).map_err(busy)?);
        }
        if directory.join(MARKER).is_file() {
            fs::remove_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        let mut init = Command::new(sigillo);
        init.args(["init", "--listen", API, "--direct", DIRECT, "--internal", INTERNAL, "--smtp"]);
        init.arg(&smtp)
            .args(["--sms", SMS, "--receipts", RECEIPTS])
            .args(["--cards", &cards.to_string(), "--demo"])
            .arg(directory);
        run(&mut init)?;
        let directory = fs::canonicalize(directory).map_err(|e| e.to_string())?;
        fs::create_dir(directory.join("logs")).map_err(|e| e.to_string())?;
        Ok(Self { directory, processes: Vec::new(), courier_apart: false })
    }

    /// Its directory, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the courier runs under a user of its own.
    pub const fn courier_apart(&self) -> bool {
        self.courier_apart
    }

    /// Sets limits that load does not meet: of requests of one operator, and of the courier's messages in all. Before the start of both.
    ///
    /// # Errors
    /// A sentence.
    pub fn lift_limits(&self) -> Result<(), String> {
        let change = |path: &str, change: fn(&str) -> String| {
            let file = self.directory.join(path);
            let fault = |e: std::io::Error| format!("{}: {e}", file.display());
            let text = fs::read_to_string(&file).map_err(fault)?;
            fs::write(&file, change(&text)).map_err(fault)
        };
        change("authority/policies/authority.toml", limits::generous)?;
        change("courier/policy.toml", uncapped)
    }

    /// The process with this name, while it runs.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.iter().find(|(other, _)| *other == name).map(|(_, child)| child.id())
    }

    /// Starts the mail relay, which is not ours: aiosmtpd with STARTTLS and a password.
    ///
    /// # Errors
    /// A sentence.
    pub fn start_relay(&mut self, script: &Path) -> Result<(), String> {
        let at = |path: &str| self.directory.join(path);
        let mut relay = Command::new(PYTHON);
        relay
            .arg(script)
            .args(["--port", SMTP_PORT, "--user", "sigillo", "--directory"])
            .arg(at("smtp/mail"));
        relay.arg("--certificate").arg(at("smtp/server.pem")).arg("--key").arg(at("smtp/server.key"));
        relay.arg("--password-file").arg(at("courier/smtp.password"));
        relay.stdin(Stdio::piped()); // it ends when this end is closed
        self.start("relay", relay)
    }

    /// Starts Kannel, which is not ours either, with the shipped settings, and its stand-in for a network.
    ///
    /// # Errors
    /// A sentence.
    pub fn start_kannel(&mut self) -> Result<(), String> {
        let [_, boxes, network] = KANNEL;
        for (name, program, port) in
            [("bearerbox", "/usr/sbin/bearerbox", boxes), ("smsbox", "/usr/sbin/smsbox", SMS)]
        {
            let mut kannel = Command::new(program);
            kannel.args(["-v", "4", "kannel.conf"]).current_dir(self.directory.join("kannel"));
            self.start(name, kannel)?;
            self.wait_for(name, PATIENCE, || TcpStream::connect(port).is_ok())?;
        }
        let port = network.rsplit_once(':').map_or(network, |(_, port)| port);
        let mut network = Command::new(NETWORK);
        // It sends a message of a citizen at its start, which is dropped, and then none for a day.
        network.args(["-H", "127.0.0.1", "-r", port, "-v", "0", "-i", "100000", "-m", "1000000"]);
        network.arg("393330000000 TS-CNS text grazie");
        self.start("network", network)
    }

    /// Starts the authority and waits until it is ready.
    ///
    /// # Errors
    /// A sentence, with the log's end if it has ended.
    pub fn start_authority(&mut self, sigillo: &Path) -> Result<(), String> {
        self.start_authority_within(sigillo, PATIENCE)
    }

    /// The same, and how often it is looked for in twentieths of a second: a large store opens in more than half a minute.
    ///
    /// # Errors
    /// A sentence, with the log's end if it has ended.
    pub fn start_authority_within(&mut self, sigillo: &Path, looks: u32) -> Result<(), String> {
        let mut serve = Command::new(sigillo);
        serve.args(["serve", "--config"]).arg(self.directory.join("authority/serve.toml"));
        self.start("authority", serve)?;
        let is_ready = || get(INTERNAL, "/readyz").is_ok_and(|answer| answer.contains("200 OK"));
        self.wait_for("authority", looks, is_ready)
    }

    /// Waits until a process is ready.
    fn wait_for(&mut self, name: &str, looks: u32, is_ready: impl Fn() -> bool) -> Result<(), String> {
        for _ in 0..looks {
            if is_ready() {
                return Ok(());
            }
            self.still_running(name)?;
            std::thread::sleep(LOOK_EVERY);
        }
        Err(format!("{name} is not ready"))
    }

    /// Starts the courier, under a user of its own where this process may do that.
    ///
    /// # Errors
    /// A sentence.
    pub fn start_courier(&mut self, sigillo: &Path) -> Result<(), String> {
        let home = self.directory.join("courier");
        self.courier_apart = may_become_nobody(sigillo, &home);
        let mut courier = Command::new(sigillo);
        courier.args(["courier", "--config"]).arg(home.join("courier.toml"));
        if self.courier_apart {
            // That user has none of root's rights: where its limit is low, it does without locked memory.
            if getrlimit(Resource::Memlock).current.is_some() {
                let file = home.join("courier.toml");
                let without = |text: String| fs::write(&file, text + "\n[process]\nlock_memory = false\n");
                let changed = fs::read_to_string(&file)
                    .and_then(|text| if text.contains("[process]") { Ok(()) } else { without(text) });
                changed.map_err(|e| format!("{}: {e}", file.display()))?;
            }
            hand_over(&home).map_err(|e| format!("{}: {e}", home.display()))?;
            courier.uid(NOBODY).gid(NOBODY);
        }
        self.start("courier", courier)
    }

    /// Refuses if a process has ended by itself.
    ///
    /// # Errors
    /// A sentence with its exit status, then the log's last lines.
    pub fn still_running(&mut self, name: &str) -> Result<(), String> {
        for (other, child) in &mut self.processes {
            if *other != name {
                continue;
            }
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                let log = fs::read_to_string(self.directory.join(format!("logs/{name}.log")));
                let log = log.unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(5).collect();
                return Err(format!(
                    "{name} has ended ({status}):\n{}",
                    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
                ));
            }
        }
        Ok(())
    }

    /// Sends a signal to one of them: SIGSTOP and SIGCONT, say.
    ///
    /// # Errors
    /// A sentence.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<(), String> {
        let pid = self.pid(name).and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{name} does not run"))?;
        kill_process(pid, signal).map_err(|e| format!("{name}: {e}"))
    }

    /// Kills one of them (SIGKILL). It can be started again.
    ///
    /// # Errors
    /// It was not started, or does not die.
    pub fn kill(&mut self, name: &str) -> Result<(), String> {
        let place = self.processes.iter().position(|(other, _)| *other == name);
        let place = place.ok_or_else(|| format!("{name} does not run"))?;
        let (_, mut child) = self.processes.remove(place);
        child.kill().and_then(|()| child.wait()).map(drop).map_err(|e| format!("{name}: {e}"))
    }

    /// Tells them to end, last started first, and waits for each. The authority drains.
    ///
    /// # Errors
    /// A sentence, if one did not end well.
    pub fn stop(&mut self) -> Result<(), String> {
        let mut bad = Vec::new();
        while let Some((name, mut child)) = self.processes.pop() {
            // The parts that are not ours hold nothing that is kept; Kannel would take seconds to end by itself.
            let is_ours = matches!(name, "authority" | "courier");
            if name == "relay" {
                drop(child.stdin.take());
            } else if !is_ours {
                child.kill().map_err(|e| e.to_string())?;
            } else if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                kill_process(pid, Signal::TERM).map_err(|e| e.to_string())?;
            }
            let status = child.wait().map_err(|e| e.to_string())?;
            if !status.success() && is_ours {
                bad.push(format!("{name} ended with {status}"));
            }
        }
        if bad.is_empty() { Ok(()) } else { Err(bad.join("; ")) }
    }

    fn start(&mut self, name: &'static str, mut command: Command) -> Result<(), String> {
        let log = File::create(self.directory.join(format!("logs/{name}.log"))).map_err(|e| e.to_string())?;
        let out = log.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdout(out).stderr(log).spawn().map_err(|e| format!("{name}: {e}"))?;
        self.processes.push((name, child));
        Ok(())
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            // Nothing more can be done for a process that does not even die.
            let _killed: std::io::Result<()> = child.kill();
            let _gone: std::io::Result<_> = child.wait();
        }
    }
}

/// Whether this process may run the courier as `nobody`, and `nobody` could reach what it needs.
fn may_become_nobody(sigillo: &Path, home: &Path) -> bool {
    let as_nobody = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(home).uid(NOBODY).gid(NOBODY);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let there = home.join("courier.toml");
    rustix::process::geteuid().is_root()
        && as_nobody(sigillo, &["--version"])
        && there.to_str().is_some_and(|path| as_nobody(Path::new("/usr/bin/test"), &["-r", path]))
}

/// Gives a directory and all in it to `nobody`; links themselves, never what they lead to.
fn hand_over(path: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            hand_over(&entry?.path())?;
        }
    }
    lchown(path, Some(NOBODY), Some(NOBODY))
}

/// Runs a command to its end.
///
/// # Errors
/// What it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    printed(&command.output().map_err(|e| e.to_string())?)
}

/// What a command that has ended wrote; what it said of its failure is the error.
///
/// # Errors
/// It failed.
pub fn printed(done: &Output) -> Result<String, String> {
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
}

/// Plain HTTP to the internal listener: the whole answer.
///
/// # Errors
/// No answer.
pub fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The text of a courier's `policy.toml` whose messages in all have the highest limit that it takes.
fn uncapped(policy: &str) -> String {
    let mut in_all = false;
    let mut text = String::new();
    for line in policy.lines() {
        if line.starts_with('[') {
            in_all = line == "[limits.all]";
        }
        match line.split_once(" = ") {
            Some((name @ ("hour" | "day"), _)) if in_all => text += &format!("{name} = 1000000\n"),
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_limit_of_all_messages_is_lifted() {
        let policy =
            "[limits.card]\nhour = 3\n\n# all\n[limits.all]\nhour = 1000\nday = 8000\n[other]\nday = 1\n";
        assert_eq!(
            uncapped(policy),
            "[limits.card]\nhour = 3\n\n# all\n[limits.all]\nhour = 1000000\nday = 1000000\n[other]\nday = 1\n"
        );
    }
}
