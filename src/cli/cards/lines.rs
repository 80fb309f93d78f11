//! The lines of a batch file, read as they are wanted: a file of any length takes the memory of one step.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};

use crate::cli::Failure;

/// Most bytes of a line that are sent: the authority refuses longer ones anyway, and names them.
const LINE_MAX: u64 = 8192;

/// A batch file that nobody else imports meanwhile.
pub(super) struct Batch {
    from: BufReader<File>,
    /// How many lines it has.
    pub(super) lines: u64,
    /// Where the next line begins, in bytes.
    pub(super) offset: u64,
    /// SHA-256 of the file, hexadecimal.
    pub(super) sha256: String,
}

impl Batch {
    /// Opens it, keeps other imports of it away, and reads it through once.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let at = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
        let mut file = File::open(path).map_err(|e| at(&e))?;
        file.try_lock().map_err(|_| at(&"it is being imported or exported by another process"))?;
        let (mut hash, mut lines, mut last) = (Context::new(&SHA256), 0_u64, b'\n');
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => buffer.get(..read).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(at(&e)),
            };
            hash.update(read);
            let feeds = read.iter().filter(|byte| **byte == b'\n').count();
            lines = lines.saturating_add(u64::try_from(feeds).unwrap_or(u64::MAX));
            last = read.last().copied().unwrap_or(last);
        }
        if last != b'\n' {
            lines = lines.saturating_add(1);
        }
        let mut batch =
            Self { from: BufReader::new(file), lines, offset: 0, sha256: hex::encode(hash.finish()) };
        batch.go_to(0).map_err(|e| at(&e))?;
        Ok(batch)
    }

    /// Goes on at this byte, where a line begins.
    pub(super) fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.offset = self.from.seek(SeekFrom::Start(offset))?;
        Ok(())
    }

    /// The next lines, `most` at most, with line feeds between them, and how many they are; nothing at the end.
    pub(super) fn next(&mut self, most: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let (mut step, mut count) = (Vec::new(), 0_u64);
        while count < most {
            if self.from.fill_buf()?.is_empty() {
                break;
            }
            if count > 0 {
                step.push(b'\n');
            }
            let mut line = Vec::new();
            let read = (&mut self.from).take(LINE_MAX).read_until(b'\n', &mut line)?;
            self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(0));
            if line.last() == Some(&b'\n') {
                line.pop();
            } else {
                let skipped = self.from.skip_until(b'\n')?;
                self.offset = self.offset.saturating_add(u64::try_from(skipped).unwrap_or(0));
            }
            step.append(&mut line);
            count = count.saturating_add(1);
        }
        Ok((count > 0).then_some((step, count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(batch: &mut Batch, most: u64) -> Vec<(String, u64, u64)> {
        let mut steps = Vec::new();
        while let Some((step, count)) = batch.next(most).unwrap() {
            steps.push((String::from_utf8(step).unwrap(), count, batch.offset));
        }
        steps
    }

    #[test]
    fn lines_are_counted_as_they_are_read_from_any_of_them_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batch");
        let step = |text: &str, count, offset| (text.to_owned(), count, offset);
        for (text, lines, steps) in [
            ("", 0, vec![]),
            ("a\n", 1, vec![step("a", 1, 2)]),
            ("a\n\nbc\nd", 4, vec![step("a\n", 2, 3), step("bc\nd", 2, 7)]),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut batch = Batch::open(&path).unwrap();
            assert_eq!((batch.lines, all(&mut batch, 2)), (lines, steps));
        }
        let mut batch = Batch::open(&path).unwrap();
        batch.go_to(3).unwrap();
        assert_eq!(all(&mut batch, 9), [step("bc\nd", 2, 7)]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batch");
        std::fs::write(&path, format!("{}\nb\n", "a".repeat(100_000))).unwrap();
        let mut batch = Batch::open(&path).unwrap();
        let steps = all(&mut batch, 1);
        assert_eq!((batch.lines, steps.len(), steps[0].0.len(), steps[0].2), (2, 2, 8192, 100_001));
        assert_eq!(steps[1], ("b".into(), 1, 100_003));
    }

    #[test]
    fn nobody_else_imports_it_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batch");
        std::fs::write(&path, "a\n").unwrap();
        let held = Batch::open(&path).unwrap();
        assert!(Batch::open(&path).err().unwrap().to_string().contains("by another process"));
        drop(held);
        Batch::open(&path).unwrap();
    }
}
