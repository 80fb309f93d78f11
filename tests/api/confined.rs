//! What the running processes have given up, and that what is outside their profile fails (I2).

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path};

use rustix::process::geteuid;

use crate::{
    fixture::{Installation, process::Process},
    inside::{Attempt, Outcomes, Task, ask, child},
};

/// `/proc/PID/status`.
pub(crate) fn status(process: &Process) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Whether this user may lock memory; the demonstration's configurations say so too.
fn locks_memory(home: &Installation, config: &str) -> bool {
    !fs::read_to_string(home.path(config)).unwrap().contains("\nlock_memory = false")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_processes_have_given_up_what_they_do_not_need() {
    let home = Installation::shared().await;
    // Both are at work: their filters are in force since before the first request.
    let desk = home.api("desk");
    home.activated(&desk).await.second_parts(&home).await;
    for (process, config) in [(&home.serve, "authority/serve.toml"), (&home.courier, "courier/courier.toml")]
    {
        let process = process.as_ref().unwrap();
        for task in fs::read_dir(format!("/proc/{}/task", process.pid())).unwrap() {
            let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            for field in ["NoNewPrivs:\t1", "Seccomp:\t2", "Seccomp_filters:\t3"] {
                assert!(text.contains(field), "{config}: no {field} in\n{text}");
            }
        }
        let status = status(process);
        assert_eq!(status["VmLck"] != "0 kB", locks_memory(&home, config), "{config}: {status:?}");
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
        let core: Vec<_> = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(core, ["0", "0", "bytes"], "{config}");
        assert!(
            process.said().contains("confined to its files, ports and system calls"),
            "{}",
            process.said()
        );
    }
}

fn attempt(home: &Installation, command: &str, elsewhere: &Path, foreign_port: u16) -> Attempt {
    let (own, other) = if command == "serve" { ("authority", "courier") } else { ("courier", "authority") };
    let config = home.path(&format!("{own}/{command}.toml"));
    let is_serve = command == "serve";
    Attempt {
        command: command.to_owned(),
        config,
        is_confined: true,
        own: home.path(&format!("{own}/tls/{}.key", if is_serve { "server" } else { "courier" })),
        written: home.path(if is_serve { "authority/store" } else { "courier/state" }),
        foreign: home.path(&format!("{other}/pin")),
        outside: elsewhere.to_owned(),
        port: (!is_serve).then(|| home.ports().smtp),
        foreign_port,
    }
}

fn attempted(attempt: Attempt) -> Outcomes {
    ask(child(None, &Task::Attempt(attempt)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outside_the_profile_fails() {
    let home = Installation::shared().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for command in ["serve", "courier"] {
        let new = |is_confined| {
            let attempt = attempt(&home, command, elsewhere.path(), port);
            Attempt { is_confined, ..attempt }
        };
        let (free, confined) = (attempted(new(false)), attempted(new(true)));
        assert_eq!(free.keys().collect::<Vec<_>>(), confined.keys().collect::<Vec<_>>());
        for (what, outcome) in &free {
            let only_root = matches!(what.as_str(), "mount" | "read passwords of the system");
            let expected = if only_root && !geteuid().is_root() { "refused" } else { "done" };
            assert_eq!(outcome, expected, "{command} without a profile: {what}");
        }
        for (what, outcome) in &confined {
            let expected = match what.as_str() {
                "connect as configured" | "read a file of its own" | "start a thread" | "write inside" => {
                    "done"
                }
                "sync a range" => "absent",
                _ => "refused",
            };
            assert_eq!(outcome, expected, "{command}: {what}");
        }
        println!("{command}: {confined:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_keeps_memory_from_being_locked_refuses_the_start() {
    let home = Installation::new();
    for (command, config) in [("serve", "authority/serve.toml"), ("courier", "courier/courier.toml")] {
        let ran = home.sigillo_with_little_locked_memory(&[command, "--config", config]);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(
            said.contains("RLIMIT_MEMLOCK is 64 KiB") && said.contains("LimitMEMLOCK=infinity"),
            "{said}"
        );
    }
}
