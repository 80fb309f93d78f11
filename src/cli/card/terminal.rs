//! The person at the terminal, whatever standard input and output are: codes typed unseen, and a yes to what was shown.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
};

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longest line that is taken, bytes.
const LONGEST: usize = 32;

fn open(otherwise: &str) -> io::Result<File> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    terminal.map_err(|e| io::Error::new(e.kind(), format!("no terminal to ask on ({e}); {otherwise}")))
}

/// Asks for a line that is not shown while it is typed.
pub(super) fn unseen(what: &str) -> io::Result<String> {
    let mut terminal = open("give it in a file of mode 0400")?;
    let unseen = Unseen::new(&terminal)?;
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    (&terminal).write_all(format!("{what}: ").as_bytes())?;
    let read = keys(&terminal, &mut line);
    drop(unseen);
    terminal.write_all(b"\n")?;
    read.map(|()| owned(&line))
}

/// Shows a text and asks for a yes to it. What was typed before the text was there does not count.
pub(super) fn agreed(text: &str, question: &str) -> io::Result<bool> {
    let mut terminal = open("with --yes nobody is asked")?;
    terminal.write_all(text.as_bytes())?;
    tcflush(&terminal, QueueSelector::IFlush)?;
    terminal.write_all(format!("{question} (yes or no): ").as_bytes())?;
    let mut line = String::with_capacity(LONGEST);
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    BufReader::new(&terminal).take(limit).read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

/// One allocation of the final size.
pub(super) fn owned(text: &str) -> String {
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
