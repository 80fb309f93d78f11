//! What runs in a child of its own: what a confined process can still do, and the program without wiping.
//!
//! The child takes the very profile that `serve` and `courier` take, from the same function, and then tries what an
//! intruder in them would.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    mount::{MsFlags, mount},
    sys::ptrace,
    unistd,
};
use rustix::process::{
    DumpableBehavior, Pid, Signal, kill_process, set_dumpable_behavior, test_kill_process,
};
use serde::{Deserialize, Serialize};
use sigillo::{cli, sandbox, store::durable};

/// Tells the child what to do, as JSON.
const TASK: &str = "SIGILLO_TEST_TASK";

/// What a child does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Tries everything, with the profile of this command and configuration or without any.
    Attempt(Attempt),
    /// Reads the memory of a process: prints how many bytes of it, or why not.
    ReadMemory(i32),
    /// Is `serve` or the courier, with an allocator that does not wipe.
    Run {
        /// Which.
        command: String,
        /// Its configuration.
        config: PathBuf,
    },
    /// Does nothing until its standard input is closed.
    Rest,
    /// Opens files: prints those that could be opened.
    Open(Vec<PathBuf>),
}

/// What is tried, and on what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) command: String,
    pub(crate) config: PathBuf,
    pub(crate) is_confined: bool,
    /// A file of the process, to be read.
    pub(crate) own: PathBuf,
    /// A directory of the process, to be written.
    pub(crate) written: PathBuf,
    /// A file that is none of its business.
    pub(crate) foreign: PathBuf,
    /// A directory that is none of its business.
    pub(crate) outside: PathBuf,
    /// A port in its configuration that somebody listens on.
    pub(crate) port: Option<u16>,
    /// A port that is not.
    pub(crate) foreign_port: u16,
}

/// By what was tried: `done`, or the kind of error.
pub(crate) type Outcomes = BTreeMap<String, String>;

/// A child of this test binary, or of a copy of it, with a task.
pub(crate) fn child(copy: Option<&Path>, task: &Task) -> Command {
    let mut command = Command::new(copy.map_or_else(|| std::env::current_exe().unwrap(), Path::to_owned));
    command.args(["--exact", "inside::child_process", "--nocapture", "--test-threads=1"]);
    command.env(TASK, serde_json::to_string(task).unwrap());
    command
}

/// Runs it; the last line of its output is the answer.
#[track_caller]
pub(crate) fn ask<T: serde::de::DeserializeOwned>(mut child: Command) -> T {
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let line = out.lines().find_map(|line| line.split_once("answer: "));
    let (_, answer) = line.unwrap_or_else(|| panic!("{:?}\n{out}\n{err}", output.status));
    serde_json::from_str(answer).unwrap()
}

/// In a child: its task. Elsewhere: a task survives the way to the child.
#[test]
fn child_process() {
    let Some(task) = std::env::var_os(TASK) else {
        let task = Task::Open(vec!["a".into()]);
        let there = serde_json::to_string(&task).unwrap();
        assert_eq!(format!("{:?}", serde_json::from_str::<Task>(&there).unwrap()), format!("{task:?}"));
        return;
    };
    let answer = match serde_json::from_str(task.to_str().unwrap()).unwrap() {
        Task::Attempt(attempt) => serde_json::to_string(&attempt.outcomes()),
        Task::Open(files) => {
            serde_json::to_string(&files.iter().filter(|file| fs::read(file).is_ok()).collect::<Vec<_>>())
        }
        Task::Rest => {
            std::io::read_to_string(std::io::stdin()).unwrap();
            Ok(String::new())
        }
        Task::Run { command, config } => {
            let ended = match command.as_str() {
                "courier" => {
                    let args = cli::courier::Args { config, once: false };
                    cli::courier::enter(args).map_err(cli::Failure::from)
                }
                "serve" => {
                    let args = cli::serve::Args { config, check: false };
                    cli::serve::run(&args, &mut std::io::sink())
                }
                other => panic!("{other}"),
            };
            ended.unwrap_or_else(|failure| panic!("{failure}"));
            Ok(String::new())
        }
        Task::ReadMemory(pid) => serde_json::to_string(&said(read_memory(pid))),
    };
    println!("answer: {}", answer.unwrap());
}

/// Some bytes of the program of another process.
fn read_memory(pid: i32) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let first = maps.lines().next().ok_or(ErrorKind::UnexpectedEof)?;
    let start = u64::from_str_radix(first.split_once('-').unwrap().0, 16).unwrap();
    let mut bytes = [0; 64];
    fs::File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, start)
}

fn said<T, E: Into<std::io::Error>>(result: Result<T, E>) -> String {
    match result.map_err(Into::into) {
        Ok(_) => "done".to_owned(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => "refused".to_owned(),
        Err(error) => error.to_string(),
    }
}

impl Attempt {
    fn outcomes(&self) -> Outcomes {
        // A child of its own, so that nothing but the profile keeps it away. Ends with this process.
        let mut neighbour = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&neighbour);
        let traced = unistd::Pid::from_raw(neighbour.id().try_into().unwrap());
        let free_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if self.is_confined {
            self.confine();
        }
        let new = |directory: &Path| fs::write(directory.join("made-by-a-child"), "");
        let mut all: Vec<(&str, String)> = vec![
            ("start a program", said(Command::new("/bin/true").status())),
            // Of a name that is not there: else this process would end.
            (
                "become a program",
                match Command::new("/nowhere").exec() {
                    error if error.kind() == ErrorKind::NotFound => "done".into(),
                    error => said::<(), _>(Err(error)),
                },
            ),
            ("trace a process", {
                let attached = ptrace::attach(traced);
                if attached.is_ok() {
                    nix::sys::wait::waitpid(traced, None).unwrap();
                    ptrace::detach(traced, None).unwrap();
                    // Where it was met on its way into its program, the stop of the attachment comes only now.
                    kill_process(pid, Signal::CONT).unwrap();
                }
                said(attached)
            }),
            ("read a process's memory", said(read_memory(traced.as_raw()))),
            ("signal a process", said(test_kill_process(pid))),
            ("become readable", said(set_dumpable_behavior(DumpableBehavior::Dumpable))),
            (
                "mount",
                said(mount(
                    None::<&str>,
                    "/",
                    None::<&str>,
                    MsFlags::MS_REC | MsFlags::MS_SHARED,
                    None::<&str>,
                )),
            ),
            ("another user", said(unistd::setuid(unistd::getuid()))),
            ("read a file of its own", said(fs::read(&self.own))),
            ("read a foreign file", said(fs::read(&self.foreign))),
            ("read passwords of the system", said(fs::read("/etc/shadow"))),
            ("write outside", said(new(&self.outside))),
            ("connect elsewhere", said(TcpStream::connect(("127.0.0.1", self.foreign_port)))),
            ("listen elsewhere", said(TcpListener::bind(("127.0.0.1", free_port)))),
            ("start a thread", said(std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join()))),
            (
                "in a thread, write outside",
                std::thread::scope(|s| s.spawn(|| said(new(&self.outside))).join()).unwrap(),
            ),
        ];
        all.push(("write inside", said(new(&self.written))));
        all.push(("sync a range", if durable::is_denied() { "absent".into() } else { "done".into() }));
        if let Some(port) = self.port {
            all.push(("connect as configured", said(TcpStream::connect(("127.0.0.1", port)))));
        }
        drop(neighbour.stdin.take());
        assert!(neighbour.wait().is_ok() != self.is_confined, "what it has not, it cannot wait for");
        all.into_iter().map(|(what, outcome)| (what.to_owned(), outcome)).collect()
    }

    fn confine(&self) {
        sandbox::process::give_up().unwrap();
        durable::deny_sync_file_range().unwrap();
        let (settings, profile) = match self.command.as_str() {
            "courier" => cli::courier::confinement(&self.config).unwrap(),
            "serve" => cli::serve::confinement(&self.config).unwrap(),
            other => panic!("{other}"),
        };
        assert_eq!(settings.sandbox, sandbox::Mode::Required);
        sandbox::enter(settings, &profile).unwrap();
    }
}
