//! The shipped units of systemd: what they take away is what the program takes away itself, and what they name is what
//! the examples name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sigillo::{
    cli::{self, Failure, GONE_BACK},
    sandbox::{Profile, calls},
};

use super::{installation, root};

struct Unit {
    command: &'static str,
    text: String,
}

impl Unit {
    fn of(command: &'static str) -> Self {
        let file = root().join(format!("hsm-config/systemd/sigillo-{command}.service"));
        Self { command, text: fs::read_to_string(file).unwrap() }
    }

    /// All values of a key, in their order.
    fn all(&self, key: &str) -> Vec<&str> {
        let assigned = self.text.lines().filter_map(|line| line.split_once('='));
        assigned.filter(|(name, _)| *name == key).flat_map(|(_, value)| value.split_whitespace()).collect()
    }

    fn words(&self, key: &str) -> BTreeSet<&str> {
        self.all(key).into_iter().collect()
    }

    fn one(&self, key: &str) -> &str {
        let all = self.all(key);
        assert_eq!(all.len(), 1, "{}: {key}", self.command);
        all[0]
    }

    /// What the program keeps with the shipped configuration, which names the courier's files as a service has them.
    fn profile(&self) -> Profile {
        let dir = installation();
        match self.command {
            "courier" => {
                cli::courier::confinement(&dir.path().join("policies/courier/courier.toml")).unwrap().1
            }
            _ => cli::serve::confinement(&dir.path().join("hsm-config/serve.toml")).unwrap().1,
        }
    }
}

fn both() -> [Unit; 2] {
    ["serve", "courier"].map(Unit::of)
}

#[test]
fn system_calls_are_those_of_the_program_and_of_its_start() {
    for unit in both() {
        let profile = unit.profile();
        let mut own: BTreeSet<&str> = calls::names(&profile).into_iter().chain(calls::START).collect();
        // The units are for every architecture; what one does not have is passed over there.
        let older =
            ["access", "chmod", "dup2", "epoll_wait", "lstat", "mkdir", "open", "pipe", "poll", "readlink"];
        own.extend(older);
        own.extend(["rename", "rmdir", "select", "stat", "time", "unlink"]);
        assert_eq!(unit.words("SystemCallFilter"), own, "{}", unit.command);
        assert_eq!(unit.one("SystemCallErrorNumber"), "EPERM");
    }
}

#[test]
fn files_and_ports_are_those_of_the_program() {
    for unit in both() {
        let profile = unit.profile();
        assert_eq!(unit.one("ProtectSystem"), "strict");
        let mut state: Vec<PathBuf> =
            unit.all("StateDirectory").iter().map(|name| Path::new("/var/lib").join(name)).collect();
        state.extend(
            unit.all("ReadWritePaths").iter().map(|path| PathBuf::from(path.trim_start_matches('-'))),
        );
        assert!(!profile.write.is_empty(), "{}", unit.command);
        for written in &profile.write {
            assert!(state.iter().any(|directory| written.starts_with(directory)), "{}", written.display());
        }
        let bind: BTreeSet<String> = profile.bind.iter().map(|port| format!("tcp:{port}")).collect();
        assert_eq!(
            unit.words("SocketBindAllow"),
            bind.iter().map(String::as_str).collect(),
            "{}",
            unit.command
        );
        assert_eq!(unit.one("SocketBindDeny"), "any");
        assert_eq!(unit.words("RestrictAddressFamilies").contains("AF_NETLINK"), profile.resolve);
    }
}

/// Nothing that the process writes can be mapped as code; what it runs can.
#[test]
fn code_comes_from_the_program_and_the_systems_libraries_alone() {
    for unit in both() {
        assert_eq!(unit.one("NoExecPaths"), "/", "{}", unit.command);
        let code: Vec<&Path> =
            unit.all("ExecPaths").iter().map(|path| Path::new(path.trim_start_matches('-'))).collect();
        let is_code = |path: &Path| code.iter().any(|of| path.starts_with(of));
        assert!(is_code(Path::new(unit.all("ExecStart")[0])), "{}", unit.command);
        for name in ["authority.toml", "courier.toml", "kryoptic.toml", "p11-kit.toml"] {
            let example = root().join(format!("hsm-config/{name}.example"));
            let table: toml::Table = fs::read_to_string(example).unwrap().parse().unwrap();
            assert!(is_code(Path::new(table["module"].as_str().unwrap())), "{}: {name}", unit.command);
        }
        let state = unit.all("StateDirectory").into_iter().map(|name| Path::new("/var/lib").join(name));
        for written in state.chain(unit.profile().write) {
            let above = code.iter().any(|of| of.starts_with(&written));
            assert!(!is_code(&written) && !above, "{}: {}", unit.command, written.display());
        }
    }
}

#[test]
fn secrets_users_and_restarts_are_as_the_program_has_them() {
    let [serve, courier] = both();
    for (unit, role, other) in [(&serve, "authority", "courier"), (&courier, "courier", "authority")] {
        let user = format!("sigillo-{role}");
        assert_eq!((unit.one("User"), unit.one("Group")), (user.as_str(), user.as_str()));
        for (key, value) in [
            ("LimitCORE", "0"),
            ("LimitMEMLOCK", "infinity"),
            ("MemorySwapMax", "0"),
            ("NoNewPrivileges", "yes"),
            ("MemoryDenyWriteExecute", "yes"),
            ("Restart", "on-failure"),
        ] {
            assert_eq!(unit.one(key), value, "{role}");
        }
        let refused = Failure::config("").exit_code().to_string();
        // A store that went back is no better at the next start.
        let gone_back = (role == "authority").then(|| GONE_BACK.to_string());
        let prevented: Vec<&str> =
            [Some(refused.as_str()), gone_back.as_deref()].into_iter().flatten().collect();
        assert_eq!(unit.all("RestartPreventExitStatus"), prevented);
        // A module that hangs is given up by ending: the unit says so, and starts another process.
        assert_ne!(refused, Failure::hung().exit_code().to_string());
        assert!(unit.text.contains(&format!("; {}: a call did not come back", Failure::hung().exit_code())));
        assert_eq!(unit.all("CapabilityBoundingSet"), [""; 0]);
        // The PIN under the name that the example gives it.
        let token = fs::read_to_string(root().join(format!("hsm-config/{role}.toml.example"))).unwrap();
        assert!(
            token.contains(&format!("credential = \"{}\"", unit.one("LoadCredentialEncrypted"))),
            "{role}"
        );
        let closed = unit.words("InaccessiblePaths");
        let others = if role == "authority" { &courier } else { &serve };
        for name in others.all("StateDirectory") {
            assert!(closed.contains(format!("-/var/lib/{name}").as_str()), "{role}: {name}");
        }
        assert!(closed.contains(format!("-/etc/sigillo-{other}").as_str()));
        let command = unit.all("ExecStart");
        assert_eq!(command[..3], ["/usr/bin/sigillo", unit.command, "--config"]);
        let example = command[3].strip_prefix(&format!("/etc/sigillo-{role}/")).unwrap();
        assert!(root().join(format!("{example}.example")).is_file(), "{example}");
    }
}

/// Every word is one that systemd knows; it says so where it is not.
#[test]
fn systemd_takes_the_units_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let files = both().map(|unit| {
        let file = dir.path().join(format!("sigillo-{}.service", unit.command));
        fs::write(&file, unit.text.replace("/usr/bin/sigillo", env!("CARGO_BIN_EXE_sigillo"))).unwrap();
        file
    });
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains(dir.path().to_str().unwrap()), "{said}");
}

/// The document names every call that can be added.
#[test]
fn the_calls_that_can_be_added_are_documented() {
    let text = fs::read_to_string(root().join("hsm-config/README.md")).unwrap();
    let section = text.split("`calls` from this list: ").nth(1).unwrap().split(". To find").next().unwrap();
    let documented: Vec<_> = section.split(',').map(|name| name.trim().trim_matches('`')).collect();
    let known: Vec<_> = calls::EXTRA.iter().map(|(name, _)| name.trim_start_matches("SYS_")).collect();
    assert_eq!(documented, known);
}
