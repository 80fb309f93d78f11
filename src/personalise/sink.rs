//! Where the files go: a directory that is there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Error;
use crate::files::write_new;

/// A directory on its way.
pub(super) struct Sink {
    out: PathBuf,
    writing: PathBuf,
    is_finished: bool,
}

impl Sink {
    /// Begins it beside its place, which must be free. What a killed run has left there is removed.
    pub(super) fn begin(out: &Path) -> Result<Self, Error> {
        if out.symlink_metadata().is_ok() {
            let what = "is there already: choose another directory, or put it away";
            return Err(Error::Refused(format!("{} {what}", out.display())));
        }
        let mut name = out.file_name().map(OsString::from).unwrap_or_default();
        name.push(".writing");
        let writing = out.with_file_name(name);
        if writing.is_dir() {
            fs::remove_dir_all(&writing).map_err(Error::io(&writing))?;
        }
        DirBuilder::new().mode(0o750).create(&writing).map_err(Error::io(&writing))?;
        Ok(Self { out: out.to_owned(), writing, is_finished: false })
    }

    /// Adds a file; it is durable then.
    pub(super) fn add(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        Ok(write_new(&self.writing.join(name), bytes, 0o640)?)
    }

    /// Puts the directory in its place.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let sync = |path: &Path| File::open(path).and_then(|it| it.sync_all()).map_err(Error::io(path));
        sync(&self.writing)?;
        renameat_with(CWD, &self.writing, CWD, &self.out, RenameFlags::NOREPLACE)
            .map_err(|e| Error::io(&self.out)(e.into()))?;
        self.is_finished = true;
        match self.out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync(parent),
            None => sync(Path::new(".")),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.is_finished {
            // Encrypted files without a manifest: the next run removes what stays.
            let _removed: std::io::Result<()> = fs::remove_dir_all(&self.writing);
        }
    }
}
