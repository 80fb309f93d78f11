//! The program at a terminal of its own, as a person has it.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    process::{Command, Output, Stdio},
};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, openpt, ptsname, unlockpt},
};

/// Runs `sigillo card`, types each answer when its question is there (an empty one: at once), and gives what the terminal
/// showed.
pub(crate) fn at_terminal<I: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = I>,
    talk: &[(&str, &str)],
) -> (Output, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let other_end = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(name.to_str().unwrap())
        .unwrap();
    let mut terminal = File::from(terminal);
    let mut talk = talk.iter().peekable();
    while let Some((_, early)) = talk.next_if(|(question, _)| question.is_empty()) {
        terminal.write_all(early.as_bytes()).unwrap();
    }
    let child = Command::new("setsid")
        .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_sigillo"), "--log-level", "debug", "card"])
        .args(arguments)
        .stdin(other_end)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    let mut byte = [0];
    for (question, answer) in talk {
        while !shown.ends_with(question.as_bytes()) {
            // An error: the program has ended without asking.
            terminal.read_exact(&mut byte).expect("the question is asked");
            shown.extend(byte);
        }
        terminal.write_all(answer.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    // The last end is closed: what is left of the output, then an error.
    while terminal.read(&mut byte).is_ok_and(|read| read == 1) {
        shown.extend(byte);
    }
    (output, String::from_utf8_lossy(&shown).into_owned())
}

/// Runs `sigillo card` where there is no terminal at all.
pub(crate) fn without_terminal<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_sigillo"), "card"]).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}
