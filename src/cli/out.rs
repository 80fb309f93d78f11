//! What commands print, for as long as somebody reads it.

use std::io::{self, ErrorKind, Write};

/// Standard output, or another one. When its reader is gone, as in `sigillo ... | head`, the command goes on to its end and to
/// its exit code; what it still prints is for nobody.
#[derive(Debug)]
pub struct Out<W>(W);

impl<W: Write> Out<W> {
    /// Prints to `inner`.
    pub const fn new(inner: W) -> Self {
        Self(inner)
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unread(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unread(self.0.flush(), ())
    }
}

/// What printing came to, where a reader who is gone is as good as one who reads all.
///
/// # Errors
/// Any other failure.
pub fn unread<T>(printed: io::Result<T>, all: T) -> io::Result<T> {
    match printed {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(all),
        other => other,
    }
}
