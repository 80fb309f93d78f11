//! Two tokens in a directory of their own, and ways to run children on them.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::kind::{Kind, VARIABLES, kind};
use crate::p11_kit::Server;

pub(crate) struct Lab {
    /// In front of the tokens, where the kind has them. Ended before the directory goes.
    servers: Vec<Server>,
    dir: tempfile::TempDir,
}

/// What a child said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        // A failed test binary exits with 101.
        let code = if self.out.contains("running 1 test") && code == 1 { 101 } else { code };
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }

    pub(crate) fn line(&self, start: &str) -> String {
        self.out.lines().find(|line| line.starts_with(start)).unwrap().to_owned()
    }
}

impl Lab {
    /// Configuration of both roles; no token yet.
    pub(crate) fn new() -> Self {
        let mut lab = Self { servers: Vec::new(), dir: tempfile::tempdir().unwrap() };
        for role in ["authority", "courier"] {
            let tokens = lab.path(&format!("tokens-{role}"));
            std::fs::create_dir(&tokens).unwrap();
            let (settings, text) = kind().settings(role, &tokens);
            lab.write(&settings, &text);
            let (variable, value) = match kind() {
                Kind::Kryoptic | Kind::SoftHsm => (kind().direct_variable(), format!("{settings:?}")),
                Kind::P11Kit => {
                    let (variable, address) = lab.variable(role);
                    let server = Server::start(&lab.socket(role), &lab.path(&settings));
                    lab.servers.push(server);
                    (variable, format!("{{ text = {address:?} }}"))
                }
            };
            lab.set_pin(role, &format!("{role}-user-pin"));
            let config = format!(
                "role = \"{role}\"\nmodule = {:?}\n[token]\nlabel = \"sigillo-{role}\"\n\
                 [pin]\nfile = \"{role}.pin\"\n[so_pin]\nfile = \"so.pin\"\n\
                 [environment]\n{variable} = {value}\n",
                kind().module()
            );
            lab.write(&format!("{role}.toml"), &config);
        }
        lab.write("so.pin", "officer-pin\n");
        lab.set_mode("so.pin", 0o400);
        lab
    }

    /// Both tokens after the whole ceremony.
    pub(crate) fn with_keys() -> Self {
        let lab = Self::new();
        lab.ceremony();
        lab
    }

    #[track_caller]
    pub(crate) fn ceremony(&self) {
        self.run(&["hsm", "init", "--config", "courier.toml", "--out", "courier"]).ok();
        let authority = ["hsm", "init", "--config", "authority.toml", "--out", "authority"];
        self.run(&[&authority[..], &["--transport-key", "courier/transport.pub.pem"]].concat()).ok();
        self.receive("authority/verify.wrapped").ok();
    }

    pub(crate) fn receive(&self, file: &str) -> Ran {
        self.run(&["hsm", "receive", "--config", "courier.toml", "--wrapped", file])
    }

    pub(crate) fn status(&self, role: &str) -> Ran {
        self.run(&["hsm", "status", "--json", "--config", &format!("{role}.toml")])
    }

    /// Runs the program in the lab's directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigillo"));
        command.current_dir(self.dir.path()).args(arguments).envs(variables.iter().copied());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        Ran::new(&command.output().unwrap())
    }

    /// Runs an act of `inside.rs` in a child, on the token of `role`.
    pub(crate) fn inside(&self, role: &str, act: &str) -> Ran {
        let (variable, value) = self.variable(role);
        let (settings, _) = kind().settings(role, Path::new(""));
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "inside::child", "--nocapture"])
            .env(super::inside::ACT, act)
            .current_dir(self.dir.path())
            .env(kind().direct_variable(), self.path(&settings))
            .env(variable, value)
            .env("SIGILLO_TEST_ROLE", role)
            .output()
            .unwrap();
        let ran = Ran::new(&output);
        assert!(ran.out.contains("running 1 test"), "the child ran nothing: {act}");
        ran
    }

    /// The variable that the module of a role reads, and its value.
    pub(crate) fn variable(&self, role: &str) -> (&'static str, String) {
        match kind() {
            Kind::Kryoptic | Kind::SoftHsm => {
                let (settings, _) = kind().settings(role, Path::new(""));
                (kind().direct_variable(), self.path(&settings).to_str().unwrap().to_owned())
            }
            Kind::P11Kit => ("P11_KIT_SERVER_ADDRESS", Server::address(&self.socket(role))),
        }
    }

    fn socket(&self, role: &str) -> PathBuf {
        self.path(&format!("{role}.socket"))
    }

    /// Grows by one with each wrong PIN: SoftHSM then writes its token object, whose first eight bytes count that.
    pub(crate) fn login_counter(&self, role: &str) -> u64 {
        let tokens = self.path(&format!("tokens-{role}"));
        let token = std::fs::read_dir(tokens).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(token.join("token.object")).unwrap();
        u64::from_be_bytes(bytes[..8].try_into().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        self.write(name, &(self.read(name) + text));
    }

    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from));
        self.write(name, &text.replace(from, to));
    }

    pub(crate) fn set_pin(&self, role: &str, pin: &str) {
        let name = format!("{role}.pin");
        drop(std::fs::remove_file(self.path(&name)));
        self.write(&name, &format!("{pin}\n"));
        self.set_mode(&name, 0o400);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
