//! Files of a stated kind: bounded in size, private ones with modes that keep others out.
//!
//! The mode is read from the open file, so that it cannot change between the check and the read.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use crate::secret::SecretBytes;

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: FileReason,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileReason {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a symbolic link where none is followed.
    #[error("a symbolic link, which is not followed")]
    Link,
    /// A private file has a mode that lets others in (the mode is given).
    #[error("mode {0:04o} lets others in: it must be 0400, 0440 or 0600")]
    Mode(u32),
    /// It is a directory, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// It is longer than any such file should be (the limit in bytes is given).
    #[error("longer than {0} bytes")]
    TooLong(u64),
}

/// Reads a file that anybody may see, of at most `limit` bytes.
///
/// # Errors
/// [`FileError`] when it is missing, not a regular file, or longer.
pub fn read_public(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let opened = open(path, limit, OFlags::empty());
    opened.and_then(|(file, length, _)| read(file, length, limit)).map_err(|r| fault(path, r))
}

/// As [`read_public`], of a file in a directory that others may write: its own name must be no symbolic link. The
/// directories on the way may be reached by links.
///
/// # Errors
/// [`FileError`] as for [`read_public`], and when the name is a symbolic link.
pub fn read_no_link(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let opened = open(path, limit, OFlags::NOFOLLOW);
    opened.and_then(|(file, length, _)| read(file, length, limit)).map_err(|r| fault(path, r))
}

/// Reads a file that holds a secret, of at most `limit` bytes; its mode must be 0400, 0440 or 0600.
///
/// # Errors
/// [`FileError`] as for [`read_public`], and when others could read it.
pub fn read_private(path: &Path, limit: u64) -> Result<SecretBytes, FileError> {
    let bytes = open(path, limit, OFlags::empty()).and_then(|(file, length, mode)| {
        if !matches!(mode, 0o400 | 0o440 | 0o600) {
            return Err(FileReason::Mode(mode));
        }
        read(file, length, limit)
    });
    bytes.map(SecretBytes::new).map_err(|reason| fault(path, reason))
}

/// Writes a new file with exactly this mode and makes it durable.
///
/// # Errors
/// [`FileError`] when it exists already or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| fault(path, error.into()))
}

/// The open file, its length and its permission bits. A pipe that nobody writes to does not make it wait.
fn open(path: &Path, limit: u64, further: OFlags) -> Result<(File, u64, u32), FileReason> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | further;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) if further.contains(OFlags::NOFOLLOW) => return Err(FileReason::Link),
        Err(error) => return Err(FileReason::Io(error.into())),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(FileReason::NotAFile);
    }
    if about.len() > limit {
        return Err(FileReason::TooLong(limit));
    }
    Ok((file, about.len(), about.permissions().mode() & 0o7777))
}

/// One allocation of the final size: growth would leave copies of a secret behind.
fn read(file: File, length: u64, limit: u64) -> Result<Vec<u8>, FileReason> {
    let capacity = usize::try_from(length).map_err(|_| FileReason::TooLong(limit))?;
    let mut bytes = Vec::with_capacity(capacity.saturating_add(1));
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn fault(path: &Path, reason: FileReason) -> FileError {
    FileError { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_private_files() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, allowed) in [
            (0o400, true),
            (0o440, true),
            (0o600, true),
            (0o604, false),
            (0o640, false),
            (0o644, false),
            (0o660, false),
            (0o700, false),
            (0o4600, false),
        ] {
            let path = dir.path().join(format!("{mode:o}"));
            write_new(&path, b"secret", mode).unwrap();
            match read_private(&path, 6) {
                Ok(bytes) => assert!(allowed && bytes.expose() == b"secret", "{mode:o}"),
                Err(error) => {
                    assert!(!allowed, "{error}");
                    assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
                }
            }
            assert_eq!(read_public(&path, 6).unwrap(), b"secret");
        }
    }

    #[test]
    fn a_file_is_a_file_of_bounded_length_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(matches!(read_public(&path, 9).unwrap_err().reason, FileReason::Io(_)));
        assert!(matches!(read_public(dir.path(), 1 << 20).unwrap_err().reason, FileReason::NotAFile));
        write_new(&path, b"four", 0o644).unwrap();
        assert!(matches!(read_public(&path, 3).unwrap_err().reason, FileReason::TooLong(3)));
        assert!(matches!(write_new(&path, b"", 0o600).unwrap_err().reason, FileReason::Io(_)));
        assert_eq!(read_public(&path, 4).unwrap(), b"four");
    }

    #[test]
    fn a_link_is_not_followed_where_none_may_be_and_a_pipe_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        write_new(&file, b"four", 0o600).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        assert_eq!(read_no_link(&file, 4).unwrap(), b"four");
        assert!(matches!(read_no_link(&link, 4).unwrap_err().reason, FileReason::Link));
        assert_eq!(read_public(&link, 4).unwrap(), b"four");
        for read in [read_public, read_no_link] {
            assert!(matches!(read(&pipe, 4).unwrap_err().reason, FileReason::NotAFile));
        }
        assert!(matches!(read_private(&pipe, 4).unwrap_err().reason, FileReason::NotAFile));
    }
}
