//! PIN and PUK from a person or a private file: never from the command line or the environment, never shown.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{card::Pin, cli::Failure, files, secret::Digits};

/// Longest line that is taken, bytes.
const LONGEST: usize = 32;

/// Reads a code from a file of mode 0400, 0440 or 0600 (digits and perhaps a line end), or asks the terminal for it.
pub(super) fn ask(what: &str, file: Option<&Path>) -> Result<Pin, Failure> {
    let text = match file {
        Some(file) => {
            let bytes = files::read_private(file, 64).map_err(Failure::failed)?;
            let text = std::str::from_utf8(bytes.expose()).map_err(Failure::failed)?;
            owned(text.trim_end_matches(['\r', '\n']))
        }
        None => prompt(what).map_err(|e| Failure::failed(format!("{what}: {e}")))?,
    };
    let digits = Digits::parse(text).ok_or_else(|| Failure::failed(format!("{what}: only digits")))?;
    Pin::new(&digits).map_err(|e| Failure::failed(format!("{what}: {e}")))
}

/// One allocation of the final size.
fn owned(text: &str) -> String {
    let mut copy = String::with_capacity(text.len());
    copy.push_str(text);
    copy
}

/// The terminal as it was, again.
struct Unseen<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Unseen<'a> {
    /// No echo, and each key by itself: an interrupt must not leave the terminal without echo.
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut unseen = before.clone();
        let shown = LocalModes::ECHO.union(LocalModes::ICANON).union(LocalModes::ISIG);
        unseen.local_modes.remove(shown);
        tcsetattr(terminal, OptionalActions::Flush, &unseen)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // Nothing is left to try if the terminal has gone.
        let (Ok(()) | Err(_)) = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn prompt(what: &str) -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|e| {
        io::Error::new(e.kind(), format!("no terminal to ask on ({e}); give it in a file of mode 0400"))
    })?;
    let unseen = Unseen::new(&terminal)?;
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    (&terminal).write_all(format!("{what}: ").as_bytes())?;
    let read = keys(&terminal, &mut line);
    drop(unseen);
    terminal.write_all(b"\n")?;
    read.map(|()| owned(&line))
}

/// Keys up to the end of the line, into memory that does not grow.
fn keys(mut terminal: &File, line: &mut String) -> io::Result<()> {
    let interrupted = || io::Error::new(io::ErrorKind::Interrupted, "given up");
    let mut key = [0_u8];
    loop {
        if terminal.read(&mut key)? == 0 {
            return Err(interrupted());
        }
        match key {
            [b'\r' | b'\n'] => return Ok(()),
            // Ctrl-C, Ctrl-D, Ctrl-\.
            [0x03 | 0x04 | 0x1C] => return Err(interrupted()),
            [0x08 | 0x7F] => drop(line.pop()),
            [other] if line.len() < LONGEST => line.push(char::from(other & 0x7F)),
            [_] => return Err(io::Error::new(io::ErrorKind::InvalidInput, "too long")),
        }
    }
}
